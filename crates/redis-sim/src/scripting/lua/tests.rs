//! What the differential test can't ask a real server: bounds, and that nothing outlasts a script.

mod busy;
mod patterns;

use std::sync::Arc;
use std::thread;

use corosensei::on_stack;
use corosensei::stack::DefaultStack;
use redis::{FromRedisValue, RedisResult};

use crate::clock::VirtualClock;
use crate::{Connection, Engine};

fn connect() -> Connection {
    Engine::new(Arc::new(VirtualClock::new(None))).connect(0)
}

fn eval<T: FromRedisValue>(con: &mut Connection, body: &str) -> RedisResult<T> {
    redis::cmd("EVAL").arg(body).arg(&["1", "key", "value"]).query(con)
}

fn error(con: &mut Connection, body: &str) -> String {
    let error = eval::<redis::Value>(con, body).unwrap_err();
    error.detail().unwrap_or_default().to_owned()
}

#[test]
fn a_script_without_an_end_ends_whatever_it_catches() {
    let mut con = connect();
    let bodies = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local function f() while true do pcall(f) end end f()",
        "while true do coroutine.wrap(function() pcall(function() while true do end end) end)() end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "while true do redis.pcall('get', 'key') end",
        "setmetatable({}, {__index = function(t, k) while true do end end}).x.y = 1",
        // What takes its time inside the library.
        "string.find(('a'):rep(30), ('a-'):rep(20) .. 'b')",
        "while true do pcall(string.match, ('a'):rep(30), ('a*'):rep(20) .. 'b') end",
        "for _ in ('a'):rep(30):gmatch(('a?'):rep(30) .. ('a'):rep(30) .. 'b') do end",
        "('a'):rep(1e5):gsub(('a-'):rep(3) .. 'b', '')",
        "('x'):rep(1e7):find(('x'):rep(5e6) .. 'y', 1, true)",
        "('x'):rep(1e6):find('(.*)(.-)%1%2y')",
        "('('):rep(1e5):find('%b()')",
        "table.insert({}, -2147483648, 1)",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.insert(t, 1, table.remove(t, 2)) end",
        "local t = {} for i = 1, 1e4 do t[i] = i % 7 end while true do table.sort(t) end",
        "while true do collectgarbage() end",
    ];
    for body in bodies {
        assert_eq!(error(&mut con, body), "Error running script: too many instructions", "{body}");
        assert_eq!(eval::<i64>(&mut con, "return 7").unwrap(), 7);
    }
}

#[test]
fn a_script_that_takes_too_much_memory_ends() {
    let mut con = connect();
    let bodies = [
        "return ('x'):rep(1e9)",
        "local s = 'x' while true do s = s .. s end",
        "local t = {} for i = 1, 1e9 do t[i] = {i} end",
        "local t = {} for i = 1, 1e9 do t[i] = redis.call('ping') end",
        "local t = {} for i = 1, 60 do t = {t, t} end return t",
        "local t = {} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
        "return cjson.decode('[' .. ('[],'):rep(2e6) .. '0]')",
    ];
    for body in bodies {
        let text = error(&mut con, body);
        assert!(text.contains("not enough memory"), "{body}: {text}");
        assert_eq!(eval::<String>(&mut con, "return ('x'):rep(3)").unwrap(), "xxx");
    }
    let caught = "local ok, e = pcall(string.rep, 'x', 1e9) return e";
    assert_eq!(eval::<String>(&mut con, caught).unwrap(), "not enough memory");
}

#[test]
fn a_reply_of_any_shape_comes_to_an_end() {
    let mut con = connect();
    for body in ["local t = {} t[1] = t return t", "local t = {map = {}} t.map.t = t return t"] {
        let shown = format!("{:?}", eval::<redis::Value>(&mut con, body));
        assert!(shown.contains("reached lua stack limit"), "{body}: {shown}");
    }
}

#[test]
fn a_caller_with_a_small_stack_can_run_a_script_that_needs_much() {
    let mut con = connect();
    let body = "local function f(n) if n == 0 then return 'x' end \
                return (('x'):gsub('x', function() return f(n - 1) end)) end return f(150)";
    let stack = DefaultStack::new(128 * 1024).unwrap();
    assert_eq!(on_stack(stack, || eval::<String>(&mut con, body)).unwrap(), "x");
}

#[test]
fn what_is_long_but_easy_does_not_take_long() {
    let mut con = connect();
    assert_eq!(eval::<String>(&mut con, "return ('').rep('', 2147483647)").unwrap(), "");
    let number = "return select(2, pcall(cjson.decode, '[' .. ('-'):rep(1e6)))";
    assert!(eval::<String>(&mut con, number).unwrap().contains("invalid number"));
    let number = "return #tostring(cjson.decode('[' .. ('1'):rep(1e6) .. '.e]')[1])";
    assert!(error(&mut con, number).contains("Expected comma or array end"));
    let deep = error(&mut con, "return ('a'):rep(2e4):find(('a?'):rep(2e4))");
    assert!(deep.contains("pattern too complex"), "{deep}");
}

#[test]
fn nothing_that_a_script_does_to_lua_outlasts_it() {
    let mut con = connect();
    let spoilers = [
        "table.insert(_G, 1)",
        "rawset(string, 'x', 1)",
        "collectgarbage('stop')",
        "collectgarbage('setpause', 100000)",
        "math.randomseed(7)",
        "getmetatable('').__index = {}",
        "getmetatable('').__index.x = 1",
        "setmetatable(_G, nil)",
        "for _, t in pairs({_G, string, table, math, redis, cjson, coroutine}) do t.x = 1 end",
        "local _, t = pairs(_G) t.x = 1",
        "for k, v in pairs(_G) do if type(v) == 'table' and v ~= KEYS and v ~= ARGV then v.x = 1 end end",
        "xpcall(function() x = 1 end, function() _G.x = 1 end)",
        "coroutine.wrap(function() x = 1 end)()",
        "loadstring('x = 1')()",
        "load(function() return nil end)() x = 1",
        "KEYS.x = 1",
        "redis.setresp(3)",
        "redis.call('select', 3)",
        "error(redis)",
        "error(string)",
    ];
    let script = "local found = {tostring(rawget(_G, 'x')), tostring(rawget(_G, 1)), \
                tostring(string.x), tostring(redis.x), tostring(KEYS.x), tostring(string.err), \
                tostring(redis.source), tostring(redis.line), ('x'):upper(), \
                tostring(math.random()), type(redis.call('get', 'none'))} \
                return table.concat(found, ' ')";
    let before: String = eval(&mut con, script).unwrap();
    assert_eq!(before, "nil nil nil nil nil nil nil nil X 0.17082803611217 boolean");
    for spoiler in spoilers {
        let _ = eval::<redis::Value>(&mut con, spoiler);
        assert_eq!(eval::<String>(&mut con, script).unwrap(), before, "{spoiler}");
    }
}

#[test]
fn compiled_code_is_refused() {
    let mut con = connect();
    for body in [
        "return (loadstring(string.dump(function() end)))",
        "local code = string.dump(function() end) local n = 0 \
         return (load(function() n = n + 1 if n <= #code then return code:sub(n, n) end end))",
    ] {
        assert_eq!(eval::<Option<i64>>(&mut con, body).unwrap(), None, "{body}");
    }
    let text = error(&mut con, "\x1bLua");
    assert!(text.ends_with("compiled code is not allowed"), "{text}");
}

#[test]
fn a_script_runs_at_one_instant_and_on_any_thread() {
    let engine = Engine::new(Arc::new(VirtualClock::new(None)));
    let body = "local n = tonumber(redis.call('get', KEYS[1]) or 0) \
                redis.call('set', KEYS[1], n + 1) return redis.call('time')";
    thread::scope(|scope| {
        for _ in 0..4 {
            let mut con = engine.connect(0);
            scope.spawn(move || {
                for _ in 0..250 {
                    let time: (u64, u64) = eval(&mut con, body).unwrap();
                    assert_eq!(time, eval(&mut con, "return redis.call('time')").unwrap());
                }
            });
        }
    });
    let sum: i64 = redis::cmd("GET").arg("key").query(&mut engine.connect(0)).unwrap();
    assert_eq!(sum, 1000);
}

#[test]
fn a_script_that_is_loaded_is_compiled_once() {
    let mut con = connect();
    let body = "return 1";
    let sha: String = redis::cmd("SCRIPT").arg("LOAD").arg(body).query(&mut con).unwrap();
    assert_eq!(sha, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    for _ in 0..3 {
        eval::<i64>(&mut con, body).unwrap();
    }
    assert_eq!(con.engine.lock().scripts.loaded.len(), 1);
}

#[test]
fn more_scripts_can_be_loaded_than_lua_has_places_on_its_stack() {
    let mut con = connect();
    for number in 0..9000 {
        assert_eq!(eval::<i64>(&mut con, &format!("return {number}")).unwrap(), number);
    }
    assert_eq!(eval::<i64>(&mut con, "return 0").unwrap(), 0);
}

#[test]
fn a_command_can_have_thousands_of_words() {
    let mut con = connect();
    let body = "local t = {} for i = 1, 7900 do t[i] = 'k' .. i redis.call('set', t[i], i) end \
                return redis.call('del', unpack(t))";
    assert_eq!(eval::<i64>(&mut con, body).unwrap(), 7900);
}
