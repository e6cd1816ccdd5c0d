-- The time, and what all keys hold: name, dump, TTL, and of those that are locks (KEYS) the value, too.
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

local is_lock, held = {}, {redis.call('TIME')}
for _, name in ipairs(KEYS) do is_lock[name] = true end
for _, name in ipairs(names) do
  local dump = redis.call('DUMP', name)
  if dump then
    held[#held + 1] = {name, dump, redis.call('PTTL', name), is_lock[name] and value(name)}
  end
end
return held
