//! Lua's own string library judges the one that scripts have.

use mlua::{Lua, LuaOptions, StdLib};
use proptest::prelude::*;

use super::connect;

/// What every function of both libraries makes of the arguments, errors included.
const BODY: &str = r#"
local s, p, r = ARGV[1], ARGV[2], ARGV[3]
local out = {}
local function show(...)
  for i = 1, select('#', ...) do
    local value = (select(i, ...))
    out[#out + 1] = type(value) .. ':' .. tostring(value)
  end
  out[#out + 1] = '\n'
  return ...
end
local found = { show(pcall(string.find, s, p)) }
for _, from in ipairs({ 2, 5, -2, -99, 99, '3', 'x' }) do
  show(pcall(string.find, s, p, from))
  show(pcall(string.match, s, p, from))
end
show(pcall(string.find, s, p, 1, true))
show(pcall(string.match, s, p))
show(pcall(function()
  for a, b in string.gmatch(s, p) do show(a, b) end
end))
-- A replacement that does not use captures does not look at them.
if not tostring(found[2]):find('unfinished', 1, true) then
  for _, most in ipairs({ 0, 1, 2, 99 }) do show(pcall(string.gsub, s, p, r, most)) end
  show(pcall(string.gsub, s, p, 7))
  show(pcall(string.gsub, s, p, { a = 'A', b = false, ab = 1, [1] = 'one', [''] = {} }))
  show(pcall(string.gsub, s, p, function(...)
    show(...)
    if select('#', ...) == 1 and ... == 'b' then return {} end
    return select('#', ...) > 1 and (select(2, ...)) or nil
  end))
  show(pcall(string.gsub, s, p, nil))
end
return table.concat(out, ' ')
"#;

const ITEMS: [&str; 36] = [
    "a", "b", "b", ".", "%a", "%D", "[ab]", "[^a]", "[a-b]", "[%w_]", "[]a]", "[^]a]", "[a-]",
    "[%]]", "(", ")", "(", ")", "()", "*", "+", "-", "?", "*", "^", "$", "%b()", "%f[%a]", "%1",
    "%2", "%", "[", "]", "%%", "%z", "\0",
];

const LETTERS: [&str; 10] = ["a", "b", "a", "b", "(", ")", " ", "1", "%", "\0"];

fn joined(parts: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(parts), 0..=most).prop_map(|parts| parts.concat())
}

fn lua_s_own(arguments: &[&str]) -> String {
    let lua = Lua::new_with(StdLib::TABLE | StdLib::STRING, LuaOptions::default()).unwrap();
    lua.globals().set("ARGV", arguments).unwrap();
    let shown = lua.load(BODY).set_name("@user_script").eval::<mlua::LuaString>().unwrap();
    shown.to_string_lossy()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn patterns_match_as_lua_matches_them(
        text in joined(&LETTERS, 9),
        pattern in joined(&ITEMS, 6),
        replacement in joined(&["x", "%0", "%1", "%2", "%", "%%", "%a"], 3),
    ) {
        let arguments = [&*text, &*pattern, &*replacement];
        let mut con = connect();
        let shown: Vec<u8> =
            redis::cmd("EVAL").arg(BODY).arg(0).arg(&arguments).query(&mut con).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&shown), lua_s_own(&arguments));
    }
}

#[test]
fn errors_of_patterns_are_raised_where_the_script_calls() {
    let mut con = connect();
    for (call, why) in [
        ("('a'):find('%')", "malformed pattern (ends with '%')"),
        ("string.gsub('a', '[', 'x')", "malformed pattern (missing ']')"),
        ("for _ in ('a'):gmatch('%f') do end", "missing '[' after '%f' in pattern"),
        ("('a'):match()", "bad argument #1 to 'match' (string expected, got no value)"),
        ("string.gsub('a', 'a')", "bad argument #3 to 'gsub' (string/function/table expected)"),
        ("table.sort({1, 'a'})", "attempt to compare string with number"),
    ] {
        let text = super::error(&mut con, call);
        assert!(text.contains(why), "{call}: {text}");
        assert!(text.ends_with("on @user_script:1."), "{call}: {text}");
    }
}
