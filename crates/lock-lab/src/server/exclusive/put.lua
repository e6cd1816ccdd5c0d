-- Puts keys in place of ours (KEYS); ARGV: the name, the TTL and the dump of each. Where there is a key
-- that is not ours, nothing is done, and it is named. Otherwise the time is given.
local ours = {}
for _, name in ipairs(KEYS) do ours[name] = true end
for _, name in ipairs(names) do
  if not ours[name] then return {name} end
end
for _, name in ipairs(KEYS) do redis.call('DEL', name) end
for at = 1, #ARGV, 3 do redis.call('RESTORE', ARGV[at], ARGV[at + 1], ARGV[at + 2]) end
return redis.call('TIME')
