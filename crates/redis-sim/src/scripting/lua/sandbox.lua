-- Builds what scripts find. Gets the functions that are written in Rust; returns the mirror that
-- scripts take for their globals, and the function that runs a script.
--
-- Redis makes tables read-only with a change to Lua itself. Plain Lua has mirrors instead: an empty
-- table whose metatable finds everything in the real one and refuses to store. What looks past a
-- metatable is guarded, so that it gets the real table or refuses too.
--
-- `guard` makes functions of C, which `guard.rs` describes: a check that returns HERE and a text, or
-- RAISE and a value, has the script's call fail with it.
local native = ...
local guard, scripts = native.guard, native.scripts
local rawset, select, setmetatable = rawset, select, setmetatable
local tonumber, tostring, type, xpcall = tonumber, tostring, type, xpcall
local byte, find, gsub, sub = string.byte, string.find, string.gsub, string.sub
local concat, sort = table.concat, table.sort
local floor, max, min, modf = math.floor, math.max, math.min, math.modf
local pcall = pcall

local HERE, RAISE = 0, true
local READ_ONLY = 'Attempt to modify a readonly table'

-- For each mirror: the table behind it, the refusal to change it, and a value without a metatable.
local reals, refusals, bare = {}, {}, {}

local refuse = guard(function() return HERE, READ_ONLY end)

local function mirror(real)
  local mirror = setmetatable({}, { __index = real, __newindex = refuse, __metatable = false })
  reals[mirror], refusals[mirror], bare[mirror] = real, READ_ONLY, 0
  return mirror
end

-- What is wrong with the argument with this number.
local function expected(kind, number, ...)
  local got = select('#', ...) < number and 'no value' or type((select(number, ...)))
  return kind .. ' expected, got ' .. got
end

-- The integer part of the argument with this number, or what is wrong with it.
local function whole(number, ...)
  local value = tonumber((select(number, ...)))
  if not value then return nil, expected('number', number, ...) end
  return (modf(value))
end

-- The argument with this number as a string, or what is wrong with it.
local function text(number, ...)
  local value = (select(number, ...))
  if type(value) == 'string' then return value end
  if type(value) == 'number' then return tostring(value) end
  return nil, expected('string', number, ...)
end

-- A function that may take long, as one that counts for more than a step.
local function costly(wrapped)
  return guard(function(...)
    native.spend(native.per_command)
    return nil, ...
  end, wrapped)
end

math.random = guard(function(...)
  local part, count = native.draw(), select('#', ...)
  if count == 0 then return nil, part end
  if count > 2 then return HERE, 'wrong number of arguments' end
  local low, high, why = 1
  for number = 1, count do
    low = number == 2 and high or low
    high, why = whole(number, ...)
    if not high then return number, why end
  end
  if low > high then return count, 'interval is empty' end
  return nil, floor(part * (high - low + 1)) + low
end)

math.randomseed = guard(function(...)
  local seed, why = whole(1, ...)
  if not seed then return 1, why end
  return nil, native.randomseed(seed)
end)

-- Lua's own library has no bound on how long a match takes, nor on the stack that it needs: `pattern.rs` has.

-- What the guard of `string.find` gives for what `native.next_match` gave, and that of the others.
local function places(_, start, stop, ...)
  if start == nil then return false, nil end
  if not start then return HERE, stop end
  return false, start, stop, ...
end

local function captures(s, start, stop, ...)
  if not start then return places(s, start, stop) end
  if select('#', ...) == 0 then return false, sub(s, start, stop) end
  return false, ...
end

local function search(given, kind, ...)
  local s, p, why
  s, why = text(1, ...)
  if not s then return 1, why end
  p, why = text(2, ...)
  if not p then return 2, why end
  local from = 1
  if (select(3, ...)) ~= nil then
    from, why = whole(3, ...)
    if not from then return 3, why end
  end
  if from < 0 then from = from + #s + 1 end
  return given(s, native.next_match(s, p, min(max(1, from), #s + 1), kind))
end

string.find = guard(function(...)
  return search(places, (select(4, ...)) and 'plain' or 'find', ...)
end)

string.match = guard(function(...) return search(captures, 'match', ...) end)

string.gmatch = guard(function(...)
  local s, p, why
  s, why = text(1, ...)
  if not s then return 1, why end
  p, why = text(2, ...)
  if not p then return 2, why end
  local from = 1
  local function step(start, stop, ...)
    if start == nil then return false end
    if start then from = max(stop, start) + 1 end
    return captures(s, start, stop, ...)
  end
  return false, guard(function()
    if from > #s + 1 then return false end
    return step(native.next_match(s, p, from, 'each'))
  end)
end)
string.gfind = string.gfind and string.gmatch

-- The text that stands in for a match, or false and what is wrong with it.
local function expanded(template, all, ...)
  local caught, count, ok = { ... }, select('#', ...), true
  local text = gsub(template, '%%(.?)', function(escaped)
    -- A text of C has a zero behind its end.
    if escaped == '' then return '\0' end
    if not find(escaped, '%d') then return escaped end
    local number = byte(escaped) - 48
    if number == 0 or number == 1 and count == 0 then return all end
    ok = ok and number <= count
    return caught[number]
  end)
  if not ok then return false, 'invalid capture index' end
  return text
end

local function replaced(replacement, all, ...)
  local kind, value, why = type(replacement), nil, nil
  if kind == 'table' then
    value = replacement[select('#', ...) == 0 and all or (...)]
  elseif kind ~= 'function' then
    value, why = expanded(replacement, all, ...)
    if why then return false, why end
  elseif select('#', ...) == 0 then
    value = replacement(all)
  else
    value = replacement(...)
  end
  if not value then return all end
  if type(value) == 'string' or type(value) == 'number' then return value end
  return false, 'invalid replacement value (a ' .. type(value) .. ')'
end

local function substitute(s, p, replacement, most)
  local parts, count, matches, from = {}, 0, 0, 1
  local function keep(part)
    count = count + 1
    parts[count] = part
  end
  -- Whether there was a match, and what is wrong.
  local function step(start, stop, ...)
    if not start then return false, stop end
    matches = matches + 1
    local part, why = replaced(replacement, sub(s, start, stop), ...)
    if why then return false, why end
    keep(sub(s, from, start - 1))
    keep(part)
    -- Behind a match of nothing, one byte stays as it is.
    if stop < start then keep(sub(s, start, start)) end
    from = max(start, stop) + 1
    return true
  end
  local more, why = true, nil
  while more and matches < most and from <= #s + 1 do
    more, why = step(native.next_match(s, p, from, 'match'))
    if why then return HERE, why end
    more = more and byte(p) ~= 94
  end
  keep(sub(s, from))
  return false, concat(parts), matches
end

string.gsub = guard(function(...)
  local s, p, why
  s, why = text(1, ...)
  if not s then return 1, why end
  p, why = text(2, ...)
  if not p then return 2, why end
  local replacement = (select(3, ...))
  if type(replacement) == 'number' then replacement = tostring(replacement) end
  local kind = type(replacement)
  if kind ~= 'string' and kind ~= 'function' and kind ~= 'table' then
    return 3, 'string/function/table expected'
  end
  local most = #s + 1
  if (select(4, ...)) ~= nil then
    most, why = whole(4, ...)
    if not most then return 4, why end
  end
  return substitute(s, p, replacement, most)
end)

string.rep = guard(function(...)
  if (...) == '' and tonumber((select(2, ...))) then return false, '' end
  native.spend(native.per_command)
  return nil, ...
end, string.rep)

table.concat = costly(concat)

-- Counts what an insertion or a removal in the middle moves.
local function count_moves(t, place)
  place = type(t) == 'table' and tonumber(place)
  if place then native.spend(floor(min(max(0, #t - place), 2 ^ 40) / 2)) end
end

table.insert = guard(function(...)
  local t, place = ...
  if refusals[t] then return RAISE, refusals[t] end
  if select('#', ...) > 2 then count_moves(t, place) end
  return nil, ...
end, table.insert)

table.remove = guard(function(...)
  count_moves(...)
  return nil, ...
end, table.remove)

-- Steps of Lua are counted, the comparisons of its library are not: they are left to it where they are few,
-- as it says better where an error is.
local FEW = 1000

local function below(one, other) return one < other end

local function less(one, other)
  local ok, is_less = pcall(below, one, other)
  if ok then return is_less end
  error(type(is_less) == 'string' and gsub(is_less, '^sandbox:%d+: ', '') or is_less, 0)
end

table.sort = guard(function(...)
  local t, before = ...
  native.spend(native.per_command)
  if before == nil and type(t) == 'table' and #t > FEW then return nil, t, less end
  return nil, ...
end, sort)

table.foreach = guard(reals, table.foreach)
table.foreachi = guard(reals, table.foreachi)

local BAD_ARGUMENTS = 'ERR wrong number or type of arguments'

-- The only argument, if it is a string.
local function single(...)
  local text = ...
  return select('#', ...) == 1 and type(text) == 'string' and text
end

local function fail(line) return RAISE, { err = line } end

local redis = {
  REDIS_VERSION = native.version,
  REDIS_VERSION_NUM = native.version_number,
  LOG_DEBUG = 0, LOG_VERBOSE = 1, LOG_NOTICE = 2, LOG_WARNING = 3,
  REPL_NONE = 0, REPL_AOF = 1, REPL_SLAVE = 2, REPL_REPLICA = 2, REPL_ALL = 3,
  call = guard(native.call),
  pcall = guard(native.pcall),
  -- What old scripts ask for, and newer servers always do.
  replicate_commands = function() return true end,
  -- No debugger is attached here, and then Redis says so too.
  breakpoint = function() return false end,
  debug = function() end,
}

function redis.error_reply(...)
  local text = single(...)
  if not text then return { err = BAD_ARGUMENTS } end
  text = gsub(gsub(text, '^%-', ''), '[ \t\n\f\r]+$', '')
  -- The first word is the error's code, if there are two.
  return { err = (find(text, ' ', 1, true) and '' or 'ERR ') .. text }
end

function redis.status_reply(...)
  local text = single(...)
  return text and { ok = text } or { err = BAD_ARGUMENTS }
end

redis.sha1hex = guard(function(...)
  if select('#', ...) ~= 1 then return fail('ERR wrong number of arguments') end
  local text = ...
  return nil, native.sha1(type(text) == 'number' and tostring(text) or single(text) or '')
end)

-- There is no log; what would be an error is one.
redis.log = guard(function(...)
  local level = tonumber((...))
  if select('#', ...) < 2 then return fail('ERR redis.log() requires two arguments or more.') end
  if not level then return fail('ERR First argument must be a number (log level).') end
  if not (level > -1 and level < 4) then return fail('ERR Invalid debug level.') end
end)

redis.setresp = guard(function(...)
  local version = tonumber((...)) or 0
  if select('#', ...) ~= 1 then return fail('ERR redis.setresp() requires one argument.') end
  if not (version >= 2 and version < 4) then return fail('ERR RESP version must be 2 or 3.') end
  return nil, native.setresp(version >= 3)
end)

-- There are no replicas.
redis.set_repl = guard(function(...)
  local flags = tonumber((...)) or 0
  if select('#', ...) ~= 1 then return fail('ERR redis.set_repl() requires two arguments.') end
  if not (flags > -1 and flags < 4) then
    return fail('ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.')
  end
end)

local cjson = { null = native.null }

cjson.encode = guard(function(...)
  if select('#', ...) ~= 1 then return 1, 'expected 1 argument' end
  return native.encode((...))
end)

cjson.decode = guard(function(...)
  if select('#', ...) ~= 1 then return 1, 'expected 1 argument' end
  local text = ...
  if type(text) == 'number' then text = tostring(text) end
  if type(text) ~= 'string' then return 1, expected('string', 1, ...) end
  return native.decode(text)
end)

-- Of an error of `redis.call`, which is a table, the script gets the text.
local function caught(ok, ...)
  local failure = ...
  if not ok and type(failure) == 'table' then
    local text = failure.err
    if type(text) == 'string' or type(text) == 'number' then return false, text end
  end
  return ok, ...
end

local COMPILED = 'compiled code is not allowed'

local function is_compiled(code) return type(code) == 'string' and byte(code) == 27 end

local following = guard(reals, next)

local globals = {
  _VERSION = _VERSION,
  assert = assert,
  -- It may not be stopped or slowed down, as that would outlast the script.
  collectgarbage = guard(function(...)
    local option = ...
    native.spend(100 * native.per_command)
    if option == 'stop' or option == 'setpause' or option == 'setstepmul' then return nil, 'restart' end
    return nil, ...
  end, collectgarbage),
  error = error,
  gcinfo = gcinfo,
  getmetatable = guard(bare, getmetatable),
  ipairs = ipairs,
  -- Lua trusts compiled code with its memory, and with ours.
  load = guard(function(...)
    local reader = ...
    if type(reader) ~= 'function' then return nil, ... end
    local begun = false
    return nil, function()
      local piece = reader()
      if not begun and is_compiled(piece) then error(COMPILED, 0) end
      begun = true
      return piece
    end, select(2, ...)
  end, load),
  loadstring = guard(function(...)
    native.spend(native.per_command)
    if is_compiled((...)) then return false, nil, COMPILED end
    return nil, ...
  end, loadstring),
  next = following,
  pairs = guard(function(...)
    local t = ...
    if type(t) ~= 'table' then return 1, expected('table', 1, ...) end
    return false, following, t, nil
  end),
  pcall = guard(function(...)
    -- Redis calls what is on the stack, which is a boolean then.
    if select('#', ...) == 0 then return false, false, 'attempt to call a boolean value' end
    return nil, ...
  end, pcall, caught),
  rawequal = rawequal,
  rawget = guard(reals, rawget),
  rawset = guard(refusals, rawset),
  select = select,
  setmetatable = guard(refusals, setmetatable),
  tonumber = tonumber,
  tostring = tostring,
  type = type,
  unpack = unpack,
  -- The handler is not asked about the end of a script that took too long: what it does then is not
  -- counted.
  xpcall = guard(function(...)
    local body, handler = ...
    if select('#', ...) < 2 then return nil, ... end
    return nil, body, function(failure)
      if native.is_cut() then return failure end
      return handler(failure)
    end
  end, xpcall),
  cjson = mirror(cjson),
  coroutine = mirror(coroutine),
  math = mirror(math),
  redis = mirror(redis),
  string = mirror(string),
  table = mirror(table),
}

-- ("x"):len() looks here, and a script may look at it, but not change it.
local strings = getmetatable('')
strings.__index = string
strings.__metatable = mirror({ __index = globals.string })

local env = mirror(globals)
globals._G = env
setmetatable(globals, {
  __index = guard(function(_, name)
    return HERE, "Script attempted to access nonexistent global variable '" .. tostring(name) .. "'"
  end),
})

-- Makes of any error a table with the message, and where it was raised.
local function explain(failure)
  if type(failure) ~= 'table' then failure = { err = 'ERR ' .. tostring(failure) } end
  local source, line = native.place()
  if source and not reals[failure] then
    rawset(failure, 'source', source)
    rawset(failure, 'line', line or -1)
  end
  return failure
end

return env, function(script, keys, argv)
  globals.KEYS, globals.ARGV = keys, argv
  return xpcall(scripts[script], explain)
end
