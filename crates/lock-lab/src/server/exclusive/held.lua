-- The time, and what all keys hold: name, dump, TTL; where the dump has the members in an order that
-- RESTORE does not keep, also the members in an order that stays; and of locks (KEYS) the value.
local function value(name)
  local kind = redis.call('TYPE', name).ok
  if kind == 'string' then return redis.call('GET', name) end
  if kind == 'list' then return table.concat(redis.call('LRANGE', name, 0, -1), ' ') end
  if kind == 'zset' then return table.concat(redis.call('ZRANGE', name, 0, -1), ' ') end
  if kind == 'set' then
    local members = redis.call('SMEMBERS', name)
    table.sort(members)
    return table.concat(members, ' ')
  end
  if kind ~= 'hash' then return kind end
  local fields, all = {}, redis.call('HGETALL', name)
  for at = 1, #all, 2 do fields[#fields + 1] = all[at] .. '=' .. all[at + 1] end
  return table.concat(fields, ' ')
end

local function sorted(name)
  if redis.call('OBJECT', 'ENCODING', name) ~= 'hashtable' then return false end
  local kind, parts = redis.call('TYPE', name).ok, {}
  local all = redis.call(kind == 'set' and 'SMEMBERS' or 'HGETALL', name)
  local step = kind == 'set' and 1 or 2
  for at = 1, #all, step do
    parts[#parts + 1] = #all[at] .. ':' .. all[at] .. (step == 2 and '=' .. all[at + 1] or '')
  end
  table.sort(parts)
  for at, part in ipairs(parts) do parts[at] = #part .. ':' .. part end
  return kind .. table.concat(parts)
end

local is_lock, held = {}, {redis.call('TIME')}
for _, name in ipairs(KEYS) do is_lock[name] = true end
for _, name in ipairs(names) do
  local dump = redis.call('DUMP', name)
  if dump then
    local left, stays = redis.call('PTTL', name), sorted(name)
    held[#held + 1] = {name, dump, left, stays, is_lock[name] and value(name)}
  end
end
return held
