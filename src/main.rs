//! `nodb-trigger`: see the library for what it does, and `nodb-trigger --help` for how to use it.

use std::process::ExitCode;

fn main() -> ExitCode {
    nodb_trigger::cli::main()
}
