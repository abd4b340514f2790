-- Makes all changes of a commit, or none of them.
--
-- First every change is checked, against what is stored and what the changes before it do. Only then is anything
-- written: a script cannot be undone. Documents can be megabytes, so they are not decoded where that can be avoided.
--
-- KEYS: every key that is read or written.
-- ARGV: see commit.rs. A key is passed as its place in KEYS.
-- Reply: a list of texts, see commit.rs.

local position = 0
local function take()
  position = position + 1
  return ARGV[position]
end
local function take_key() return KEYS[tonumber(take())] end
local function take_flag() return take() == '1' end

local HISTORY_LIMIT = tonumber(take())
local STATES = take_key()
local announces = take_flag()
local OUTBOX = announces and take_key()
local MARKER = ',"favonius":{'
local TAIL = 4096
local U64_MAX = '18446744073709551615'

-- Application -> key of the set of its names.
local names_of = {}
for _ = 1, tonumber(take()) do
  local application = take()
  names_of[application] = take_key()
end

-- Texts byte by byte: Lua's own comparison follows the server's locale.
local function greater(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

-- Times stay decimal texts: Lua's numbers are exact up to 2^53 only.
local function later(a, b)
  if #a ~= #b then return #a > #b end
  return greater(a, b)
end

local function successor(time)
  if time == U64_MAX then return time end
  local head, digit, nines = time:match('^(%d*)([0-8])(9*)$')
  if not head then return '1' .. ('0'):rep(#time) end
  return head .. (digit + 1) .. ('0'):rep(#nines)
end

-- Whether the first of two publishes or removals replaces the second, wherever and in whatever order they arrive.
local function is_newer(a, b)
  return later(a.at, b.at) or (a.at == b.at and greater(a.replica, b.replica))
end

local function is_application(value)
  return type(value) == 'string' and #value <= 255 and
    value:find('^[a-z0-9-]+%.[a-z0-9-]+%.[a-z0-9-]+$') ~= nil
end

local function text_or(value, default)
  if type(value) == 'string' then return value end
  return default
end

-- How commit.rs writes a manifest, to be compared with it.
local function manifest_text(manifest)
  if type(manifest) ~= 'table' then return '' end
  if type(manifest.hash) ~= 'string' or type(manifest.size) ~= 'number' then return '' end
  return ('{"hash":"%s","size":%.0f}'):format(manifest.hash, manifest.size)
end

-- What a name answers with, from a decoded publication. Nil when it is none.
local function publication(fields, snapshot_id, at)
  if not is_application(fields.application_uid) or type(snapshot_id) ~= 'string' then return nil end
  local time = fields.published_at
  if type(time) ~= 'number' or time < 0 or time % 1 ~= 0 then return nil end
  at = at or ('%.0f'):format(time)
  if later(at, U64_MAX) then return nil end
  return {
    application = fields.application_uid,
    snapshot_id = snapshot_id,
    at = at,
    replica = text_or(fields.replica, ''),
    manifest = manifest_text(fields.manifest),
    version = fields.version == true,
  }
end

-- From the end of a record that was written by this script.
local function from_tail(key)
  local tail = redis.call('GETRANGE', key, -TAIL, -1)
  local start
  local found = tail:find(MARKER, 1, true)
  while found do
    start = found
    found = tail:find(MARKER, found + 1, true)
  end
  if not start then return nil end
  local object = tail:sub(start + #MARKER - 1):match('^(.*)}%s*$')
  -- Decoding fails if the object does not end where the record does: then it is a part of the snapshot.
  local decoded, fields = pcall(cjson.decode, object)
  if not decoded or type(fields) ~= 'table' then return nil end
  return publication(fields, fields.snapshot_id, object:match('"published_at":(%d+)[,}]'))
end

-- From the whole record: somebody wrote it by hand, or its tail is longer than usual.
local function from_whole(key)
  local decoded, record = pcall(cjson.decode, redis.call('GET', key))
  if not decoded or type(record) ~= 'table' then return nil end
  if record.favonius == nil or record.favonius == cjson.null then
    local owner = { application_uid = record.application_uid, published_at = 0 }
    return publication(owner, record.snapshot_id)
  end
  if type(record.favonius) ~= 'table' then return nil end
  return publication(record.favonius, record.snapshot_id)
end

-- Everything below sees the changes so far through these.
local known = {}     -- set key -> asset -> whether the application knows it
local documents = {} -- snapshot key -> its JSON
local standing = {}  -- name key -> what it answers with
local present = {}   -- name key -> whether there is anything
local last = {}      -- name -> what was written last for it
local steps = {}     -- what is to be written, in order
local undeclared = {} -- applications that lose a name, and whose set of names is not in KEYS
local told = { snapshots = {}, names = {}, place = {} } -- what other regions are to be told
local reply = { 'applied' }

local function step(write) steps[#steps + 1] = write end

local function knows(key, asset)
  known[key] = known[key] or {}
  if known[key][asset] == nil then
    known[key][asset] = redis.call('SISMEMBER', key, asset) == 1
  end
  return known[key][asset]
end

-- A record that cannot be read belongs to nobody: the next publish mends it.
local function answers_with(key)
  if standing[key] == nil then
    local is_text = redis.call('TYPE', key).ok == 'string'
    standing[key] = is_text and (from_tail(key) or from_whole(key)) or false
  end
  return standing[key] or nil
end

local function is_present(key)
  if present[key] == nil then present[key] = redis.call('TYPE', key).ok ~= 'none' end
  return present[key]
end

local function read_state(text)
  local kind, json = (text or ''):match('^{"(%l+)":(.*)}$')
  if kind ~= 'published' and kind ~= 'removed' then return nil end
  local decoded, fields = pcall(cjson.decode, json)
  local at = json:match('"published_at":(%d+)[,}]')
  if not decoded or type(fields) ~= 'table' or not at or later(at, U64_MAX) then return nil end
  if not is_application(fields.application_uid) then return nil end
  return {
    application = fields.application_uid,
    at = at,
    replica = text_or(fields.replica, ''),
    removed = kind == 'removed',
    ending = ',"favonius":' .. json .. '}',
  }
end

-- What was written last for a name: not what somebody wrote there by hand. Nil when that is not known.
local function last_of(name)
  if last[name] == nil then last[name] = read_state(redis.call('HGET', STATES, 'n:' .. name)) or false end
  return last[name] or nil
end

-- Whether a name's record is not what was written there last.
local function is_by_hand(key, state)
  if not state or state.is_new then return false end
  if state.removed then return is_present(key) end
  if redis.call('TYPE', key).ok ~= 'string' then return true end
  return redis.call('GETRANGE', key, -#state.ending, -1) ~= state.ending
end

-- The applications, besides one, that are taken to have a name: by its record, and by what was written last.
local function losers_of(application, old, state)
  local losers = {}
  local function add(loser)
    if loser == application or losers[loser] then return end
    losers[loser] = true
    -- Only now is known whose set the name is taken from. The caller declares its key and asks again.
    if not names_of[loser] then undeclared[#undeclared + 1] = loser end
  end
  if old then add(old.application) end
  if state and not state.removed then add(state.application) end
  return losers
end

-- Sets of names are read before anything is written, although nothing comes of it: it must not fail later.
local function check_names(application, losers)
  for each, set in pairs(names_of) do
    if each == application or losers[each] then redis.call('SCARD', set) end
  end
end

local function leave(losers, name)
  for loser in pairs(losers) do redis.call('SREM', names_of[loser], name) end
end

-- Of a name that changes more than once only the last is told.
local function tell_name(name, quoted, kind, json)
  if told.place[name] then told.names[told.place[name]] = false end
  told.names[#told.names + 1] = '{"name":' .. quoted .. ',"' .. kind .. '":' .. json .. '}'
  told.place[name] = #told.names
end

-- Nil when there is nothing to tell.
local function event()
  local parts, names = {}, {}
  for _, name in ipairs(told.names) do
    if name then names[#names + 1] = name end
  end
  if #told.snapshots > 0 then parts[1] = '"snapshots":[' .. table.concat(told.snapshots, ',') .. ']' end
  if #names > 0 then parts[#parts + 1] = '"names":[' .. table.concat(names, ',') .. ']' end
  return parts[1] and '{' .. table.concat(parts, ',') .. '}'
end

local function snapshot_exists(key)
  return documents[key] ~= nil or redis.call('STRLEN', key) > 0
end

-- A snapshot's JSON up to its closing brace, so that a field can follow. Nil when it does not end in one.
local opened = {}
local function open(key)
  if not opened[key] then
    local json = documents[key] or redis.call('GET', key)
    local last = #json
    while last > 0 and json:find('^%s', last) do last = last - 1 end
    if json:sub(last, last) ~= '}' then return nil end
    opened[key] = json:sub(1, last - 1)
  end
  return opened[key]
end

local handle = {}

function handle.asset_stored()
  local key, asset = take_key(), take()
  if knows(key, asset) then return 'unchanged' end
  known[key][asset] = true
  step(function() redis.call('SADD', key, asset) end)
  return 'done'
end

function handle.asset_lost()
  local key, asset = take_key(), take()
  if not knows(key, asset) then return 'unchanged' end
  known[key][asset] = false
  step(function() redis.call('SREM', key, asset) end)
  return 'done'
end

function handle.snapshot_stored()
  local key, versions, id, quoted = take_key(), take_key(), take(), take()
  local created_at, json = take(), take()
  local field = 's:' .. id
  local is_listed = redis.call('HEXISTS', STATES, field) == 1
  if snapshot_exists(key) then
    local same
    if documents[key] then
      same = documents[key] == json
    else
      same = redis.call('STRLEN', key) == #json and redis.call('GET', key) == json
    end
    if same then
      -- Another worker may have stored it, which keeps no states.
      if not is_listed then step(function() redis.call('HSET', STATES, field, '') end) end
      return 'unchanged'
    end
    return nil, { 'exists' }
  end
  -- Read now, although nothing comes of it: it must not fail once writing has begun.
  redis.call('ZCARD', versions)
  documents[key] = json
  step(function()
    redis.call('SET', key, json)
    redis.call('ZADD', versions, created_at, id)
    redis.call('HSET', STATES, field, '')
  end)
  table.insert(told.snapshots, quoted)
  return 'done'
end

function handle.published()
  local snapshot, key, history, name, quoted = take_key(), take_key(), take_key(), take(), take()
  local new = { is_new = true }
  new.application = take()
  new.snapshot_id = take()
  new.at = take()
  new.replica = take()
  new.manifest = take()
  new.version = take_flag()
  local is_local, is_repair, takeover = take_flag(), take_flag(), take_flag()
  local entry_start, entry_end = take(), take()

  if not snapshot_exists(snapshot) then return nil, { 'unknown' } end
  local old, state = answers_with(key), last_of(name)
  -- What is written by hand counts as what it replaced.
  local stands = state or old
  local by_hand = is_by_hand(key, state)
  if stands and is_local then
    local next = successor(stands.at)
    if later(next, new.at) then new.at = next end
  elseif stands then
    if not is_newer(new, stands) then return 'superseded' end
    if is_repair and by_hand then return 'by_hand' end
  end
  if old and old.application ~= new.application and not takeover then
    return nil, { 'owned', old.application }
  end
  if old and is_local then
    new.version = new.version or old.version
    if new.version and old.snapshot_id ~= new.snapshot_id then return nil, { 'taken', old.snapshot_id } end
    -- Publishing what was written by hand, or by another worker, makes it a record like others.
    if state and not by_hand and old.application == new.application and
      old.snapshot_id == new.snapshot_id and old.manifest == new.manifest and old.version == new.version then
      return 'unchanged'
    end
  end

  if not open(snapshot) then return nil, { 'corrupt', snapshot } end
  local losers = losers_of(new.application, old, state)
  check_names(new.application, losers)
  standing[key], present[key], last[name] = new, true, new
  local entry = entry_start .. new.at .. entry_end .. (new.version and ',"version":true}' or '}')
  tell_name(name, quoted, 'published', entry)
  step(function()
    redis.call('SET', key, open(snapshot) .. ',"favonius":' .. entry .. '}')
    local kind = redis.call('TYPE', history).ok
    if kind ~= 'list' and kind ~= 'none' then redis.call('DEL', history) end
    redis.call('LPUSH', history, entry)
    redis.call('LTRIM', history, 0, HISTORY_LIMIT - 1)
    redis.call('SADD', names_of[new.application], name)
    leave(losers, name)
    redis.call('HSET', STATES, 'n:' .. name, '{"published":' .. entry .. '}')
  end)
  return 'done'
end

function handle.removed()
  local key, history, name, quoted = take_key(), take_key(), take(), take()
  local new = { is_new = true, removed = true }
  new.application = take()
  new.at = take()
  new.replica = take()
  local is_local, is_repair, takeover = take_flag(), take_flag(), take_flag()
  local removal_start, removal_end = take(), take()

  local old, state = answers_with(key), last_of(name)
  local stands = state or old
  if is_local then
    if not is_present(key) and (not state or state.removed) then return 'unchanged' end
    local next = stands and successor(stands.at)
    if next and later(next, new.at) then new.at = next end
  elseif stands then
    if not is_newer(new, stands) then return 'superseded' end
    if is_repair and is_by_hand(key, state) then return 'by_hand' end
  end
  if old and old.application ~= new.application and not takeover then
    return nil, { 'owned', old.application }
  end

  local losers = losers_of(nil, old, state)
  check_names(nil, losers)
  standing[key], present[key], last[name] = false, false, new
  local removal = removal_start .. new.at .. removal_end
  tell_name(name, quoted, 'removed', removal)
  step(function()
    redis.call('DEL', key, history)
    leave(losers, name)
    redis.call('HSET', STATES, 'n:' .. name, '{"removed":' .. removal .. '}')
  end)
  return 'done'
end

for change = 1, tonumber(take()) do
  local applied, refusal = handle[take()]()
  if refusal then
    table.insert(refusal, 2, tostring(change))
    return refusal
  end
  reply[#reply + 1] = applied
end
if #undeclared > 0 then
  table.insert(undeclared, 1, 'undeclared')
  return undeclared
end
local announced = announces and event()
if announced then redis.call('XLEN', OUTBOX) end
for _, write in ipairs(steps) do write() end
if announced then redis.call('XADD', OUTBOX, '*', 'event', announced) end
return reply
