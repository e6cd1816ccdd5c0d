-- Builds what scripts find. Gets `native`, the functions that are written in Rust, and `redis`;
-- returns the mirror that scripts take for their globals, and the real ones behind it.
--
-- Redis makes tables read-only with a change to Lua itself. Plain Lua has mirrors instead: an empty
-- table whose metatable finds everything in the real one and refuses to store. What looks past a
-- metatable is wrapped, so that it finds the real table or refuses too.
local native, redis = ...
local setmetatable, getmetatable, pairs = setmetatable, getmetatable, pairs

local function mirror(real)
  return setmetatable({}, {
    __index = real,
    __newindex = native.refuse,
    __metatable = false,
    [native.real] = real,
  })
end

local reading, writing = native.reading, native.writing
local following = reading(next)

table.insert = writing(table.insert)
table.foreach = reading(table.foreach)
table.foreachi = reading(table.foreachi)
math.random = native.random
math.randomseed = native.randomseed

redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING = 0, 1, 2, 3
redis.REPL_NONE, redis.REPL_AOF, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_ALL = 0, 1, 2, 2, 3

local globals = {
  _VERSION = _VERSION,
  assert = assert,
  collectgarbage = native.collectgarbage(collectgarbage),
  error = error,
  gcinfo = gcinfo,
  getmetatable = native.getmetatable(getmetatable),
  ipairs = ipairs,
  load = native.load,
  loadstring = native.loadstring,
  next = following,
  pairs = native.pairs(pairs, following),
  pcall = native.pcall,
  rawequal = rawequal,
  rawget = reading(rawget),
  rawset = writing(rawset),
  select = select,
  setmetatable = writing(setmetatable),
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  unpack = unpack,
  xpcall = native.xpcall,
  cjson = mirror(native.cjson),
  coroutine = mirror(coroutine),
  math = mirror(math),
  redis = mirror(redis),
  string = mirror(string),
  table = mirror(table),
}

-- ("x"):len() looks here, and a script may look at it, but not change it.
local strings = getmetatable("")
strings.__index = string
strings.__metatable = mirror({ __index = globals.string })

local env = mirror(globals)
globals._G = env
setmetatable(globals, { __index = native.nonexistent })
return env, globals
