"""Puts a release into the wheel: the directory that NODB_TRIGGER_RELEASE names."""

import os
import platform
import subprocess
import sys

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# A static binary runs whatever C library there is, and whatever its version.
STATIC = "manylinux_2_5_{0}.manylinux1_{0}.manylinux_2_17_{0}.manylinux2014_{0}.musllinux_1_1_{0}"


class Binary(BuildHookInterface):
    def initialize(self, version, build_data):
        release = os.environ.get("NODB_TRIGGER_RELEASE")
        if not release:
            sys.exit(
                "nodb-trigger has no binary for this platform "
                f"({platform.system()} {platform.machine()}): wheels are for Linux on x86_64 and "
                "aarch64. Elsewhere run it in a container, or build it from its repository with "
                "cargo (Linux)."
            )
        binary = os.path.join(release, "nodb-trigger")
        machine = platform.machine()
        linkage = subprocess.run(["ldd", binary], capture_output=True, text=True)
        words = linkage.stdout + linkage.stderr
        is_static = "not a dynamic executable" in words or "statically linked" in words
        system = STATIC.format(machine) if is_static else f"linux_{machine}"
        build_data["tag"] = f"py3-none-{system}"
        build_data["pure_python"] = False
        build_data["shared_scripts"] = {binary: "nodb-trigger"}
        build_data["shared_data"] = {
            os.path.join(release, "man"): "share/man",
            os.path.join(release, "completions/nodb-trigger.bash"):
                "share/bash-completion/completions/nodb-trigger",
            os.path.join(release, "completions/_nodb-trigger"):
                "share/zsh/site-functions/_nodb-trigger",
            os.path.join(release, "completions/nodb-trigger.fish"):
                "share/fish/vendor_completions.d/nodb-trigger.fish",
        }
        for name in ("LICENSE-MIT", "LICENSE-APACHE"):
            build_data["extra_metadata"][os.path.join(release, name)] = name
