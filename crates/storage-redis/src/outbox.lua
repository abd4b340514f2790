-- What is done to the outbox: a stream of events with a consumer group for each target.
--
-- KEYS: the outbox, and the target's dead letters where they matter.
-- ARGV: what is to be done, the target where it matters, and what belongs to it; see outbox.rs.
--
-- An event has the field `event`, and `only` if it is for one target. What is there for other targets is acknowledged
-- when it is met, so that it is nobody's any more.

local OUTBOX, DEAD = KEYS[1], KEYS[2]
-- Events that are looked at one by one to count them. Of more, about as many as there are is enough.
local COUNTED = 500
-- A consumer that has nothing and does nothing for so many milliseconds is gone.
local GONE_AFTER = 60 * 60 * 1000
local PAGE = 1000

-- From a list of names and values.
local function fields_of(list)
  local fields = {}
  for place = 1, #list, 2 do fields[list[place]] = list[place + 1] end
  return fields
end

-- All consumer groups. To ask for those of what is not there would be an error.
local function queues()
  local all = {}
  if redis.call('TYPE', OUTBOX).ok == 'none' then return all end
  for _, list in ipairs(redis.call('XINFO', 'GROUPS', OUTBOX)) do all[#all + 1] = fields_of(list) end
  return all
end

local function queue_of(target)
  for _, queue in ipairs(queues()) do
    if queue.name == target then return queue end
  end
  return nil
end

local function open(target)
  if not queue_of(target) then redis.call('XGROUP', 'CREATE', OUTBOX, target, '0', 'MKSTREAM') end
end

-- Numbers in ids can be greater than Lua's are exact.
local function is_less(a, b) return #a < #b or (#a == #b and a < b) end

local function is_before(a, b)
  local time_a, number_a = a:match('^(%d+)-(%d+)$')
  local time_b, number_b = b:match('^(%d+)-(%d+)$')
  return is_less(time_a, time_b) or (time_a == time_b and is_less(number_a, number_b))
end

local function after(id, count) return redis.call('XRANGE', OUTBOX, '(' .. id, '+', 'COUNT', count) end

local function entry_of(stream, id)
  local found = redis.call('XRANGE', stream, id, id)[1]
  return found and fields_of(found[2])
end

local function is_for(fields, target) return not fields.only or fields.only == target end

local function append(target, event) redis.call('XADD', OUTBOX, '*', 'event', event, 'only', target) end

-- Whether it was the target's to acknowledge.
local function acknowledge(target, id)
  local count = redis.call('XACK', OUTBOX, target, id)
  local fields = entry_of(OUTBOX, id)
  if fields and fields.only == target then redis.call('XDEL', OUTBOX, id) end
  return count == 1
end

local handle = {}

function handle.open(target) open(target) end

-- Replies with whether there may be more, then an id and an event for each that was taken.
function handle.take(target, taker, silence, limit, was_opened)
  if was_opened == '1' then
    -- Redis may have been emptied since.
    open(target)
  elseif not queue_of(target) then
    return { '0' }
  end
  limit = tonumber(limit)
  local found, cursor = {}, '0-0'
  local function add(entries)
    -- Of what was deleted meanwhile there is no content.
    for _, entry in ipairs(entries) do
      if entry and entry[2] then found[#found + 1] = entry end
    end
  end
  repeat
    local reply = redis.call('XAUTOCLAIM', OUTBOX, target, taker, silence, cursor, 'COUNT', limit - #found)
    cursor = reply[1]
    add(reply[2])
  until cursor == '0-0' or #found >= limit
  if #found < limit then
    local reply = redis.call(
      'XREADGROUP', 'GROUP', target, taker, 'COUNT', limit - #found, 'STREAMS', OUTBOX, '>')
    if reply then add(reply[1][2]) end
  end
  local answer = { #found >= limit and '1' or '0' }
  for _, entry in ipairs(found) do
    local fields = fields_of(entry[2])
    if is_for(fields, target) then
      answer[#answer + 1] = entry[1]
      answer[#answer + 1] = fields.event or ''
    else
      redis.call('XACK', OUTBOX, target, entry[1])
    end
  end
  return answer
end

-- Lets the taker have had its events for so long.
function handle.hold(target, taker, idle, ...)
  if not queue_of(target) then return end
  for _, id in ipairs({ ... }) do
    if #redis.call('XPENDING', OUTBOX, target, id, id, 1, taker) > 0 then
      redis.call('XCLAIM', OUTBOX, target, taker, 0, id, 'IDLE', idle, 'JUSTID')
    end
  end
end

function handle.acknowledge(target, ...)
  for _, id in ipairs({ ... }) do acknowledge(target, id) end
end

function handle.bury(target, id, event, reason, queued_at, limit)
  redis.call('XLEN', DEAD)
  if not acknowledge(target, id) then return end
  redis.call(
    'XADD', DEAD, 'MAXLEN', '~', limit, '*', 'event', event, 'reason', reason, 'queued_at', queued_at)
end

function handle.enqueue(target, ...)
  open(target)
  for _, event in ipairs({ ... }) do append(target, event) end
end

-- Replies with how many letters there were.
function handle.retry(target, ...)
  open(target)
  local count = 0
  for _, id in ipairs({ ... }) do
    local letter = entry_of(DEAD, id)
    if letter then
      append(target, letter.event or '')
      redis.call('XDEL', DEAD, id)
      count = count + 1
    end
  end
  return count
end

-- Replies with how many events wait, the id of the oldest, and how many letters there are.
function handle.state(target)
  local buried = redis.call('XLEN', DEAD)
  local queue = queue_of(target)
  if not queue then return { '0', '', tostring(buried) } end
  local pending = redis.call('XPENDING', OUTBOX, target)
  local oldest = pending[2]
  local unread, count = after(queue['last-delivered-id'], COUNTED), 0
  for _, entry in ipairs(unread) do
    if is_for(fields_of(entry[2]), target) then
      count = count + 1
      if not oldest or is_before(entry[1], oldest) then oldest = entry[1] end
    end
  end
  -- Before Redis 7, and where some were deleted, nobody knows how many there are exactly.
  if #unread == COUNTED then
    count = math.max(count, queue.lag or (redis.call('XLEN', OUTBOX) - pending[1]))
  end
  return { tostring(pending[1] + count), oldest or '', tostring(buried) }
end

function handle.queues()
  local names = {}
  for _, queue in ipairs(queues()) do names[#names + 1] = queue.name end
  return names
end

-- Takes these events, the oldest of all, from a queue. Replies with how many it had not acknowledged.
local function take_away(queue, entries)
  local target, upto = queue.name, entries[#entries][1]
  local pending, lost = {}, 0
  repeat
    local found = redis.call('XPENDING', OUTBOX, target, '-', upto, PAGE)
    for _, event in ipairs(found) do
      pending[event[1]] = true
      redis.call('XACK', OUTBOX, target, event[1])
    end
  until #found == 0
  local read = queue['last-delivered-id']
  for _, entry in ipairs(entries) do
    if is_for(fields_of(entry[2]), target) and (pending[entry[1]] or is_before(read, entry[1])) then
      lost = lost + 1
    end
  end
  if is_before(read, upto) then redis.call('XGROUP', 'SETID', OUTBOX, target, upto) end
  return lost
end

-- Removes all events before this one; all of them if it is nil. Ids only grow: what comes meanwhile comes after.
local function cut(id)
  if id then
    redis.call('XTRIM', OUTBOX, 'MINID', '=', id)
  else
    redis.call('XTRIM', OUTBOX, 'MAXLEN', '=', 0)
  end
end

-- The first event that a queue still needs. Forgets who has what is not there any more, and consumers that are gone.
local function first_needed(queue)
  local target = queue.name
  for _, event in ipairs(redis.call('XPENDING', OUTBOX, target, '-', '+', PAGE)) do
    if not entry_of(OUTBOX, event[1]) then redis.call('XACK', OUTBOX, target, event[1]) end
  end
  for _, list in ipairs(redis.call('XINFO', 'CONSUMERS', OUTBOX, target)) do
    local consumer = fields_of(list)
    if consumer.pending == 0 and consumer.idle > GONE_AFTER then
      redis.call('XGROUP', 'DELCONSUMER', OUTBOX, target, consumer.name)
    end
  end
  local pending = redis.call('XPENDING', OUTBOX, target)[2]
  local unread = after(queue['last-delivered-id'], 1)[1]
  unread = unread and unread[1]
  if pending and unread then return is_before(pending, unread) and pending or unread end
  return pending or unread
end

-- Removes at most so many events that were queued before a time, and if these were all, those that nobody needs.
-- Replies with whether there may be more, then targets, each with how many it lost.
function handle.trim(keep_from, most)
  most = tonumber(most)
  local old = {}
  if keep_from ~= '0' then
    old = redis.call('XRANGE', OUTBOX, '-', '(' .. keep_from .. '-0', 'COUNT', most)
  end
  local answer = { #old == most and '1' or '0' }
  if #old > 0 then
    for _, queue in ipairs(queues()) do
      local lost = take_away(queue, old)
      if lost > 0 then
        answer[#answer + 1] = queue.name
        answer[#answer + 1] = tostring(lost)
      end
    end
    local rest = after(old[#old][1], 1)[1]
    cut(rest and rest[1])
    if #old == most then return answer end
  end
  local all, needed = queues(), nil
  for _, queue in ipairs(all) do
    local first = first_needed(queue)
    if first and (not needed or is_before(first, needed)) then needed = first end
  end
  if #all > 0 then cut(needed) end
  return answer
end

return handle[ARGV[1]](unpack(ARGV, 2))
