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
    local copied = publication(owner, record.snapshot_id)
    -- Publishing the same makes it a record like others.
    if copied then copied.by_hand = true end
    return copied
  end
  if type(record.favonius) ~= 'table' then return nil end
  return publication(record.favonius, record.snapshot_id)
end

-- Everything below sees the changes so far through these.
local known = {}     -- set key -> asset -> whether the application knows it
local documents = {} -- snapshot key -> its JSON
local standing = {}  -- name key -> what it answers with
local steps = {}     -- what is to be written, in order
local undeclared = {} -- applications that lose a name, and whose set of names is not in KEYS
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
  local key, versions, id, created_at, json = take_key(), take_key(), take(), take(), take()
  if snapshot_exists(key) then
    local same
    if documents[key] then
      same = documents[key] == json
    else
      same = redis.call('STRLEN', key) == #json and redis.call('GET', key) == json
    end
    if same then return 'unchanged' end
    return nil, { 'exists' }
  end
  -- Read now, although nothing comes of it: it must not fail once writing has begun.
  redis.call('ZCARD', versions)
  documents[key] = json
  step(function()
    redis.call('SET', key, json)
    redis.call('ZADD', versions, created_at, id)
  end)
  return 'done'
end

function handle.published()
  local snapshot, key, history, name = take_key(), take_key(), take_key(), take()
  local new = {}
  new.application = take()
  new.snapshot_id = take()
  new.at = take()
  new.replica = take()
  new.manifest = take()
  new.version = take_flag()
  local is_local, takeover = take_flag(), take_flag()
  local entry_start, entry_end = take(), take()

  if not snapshot_exists(snapshot) then return nil, { 'unknown' } end
  local old = answers_with(key)
  local loser
  if old then
    if is_local then
      local next = successor(old.at)
      if later(next, new.at) then new.at = next end
    elseif not later(new.at, old.at) and (later(old.at, new.at) or not greater(new.replica, old.replica)) then
      return 'superseded'
    end
    if old.application ~= new.application then
      if not takeover then return nil, { 'owned', old.application } end
      loser = old.application
      -- Only now is known whose set the name is taken from. The caller declares its key and asks again.
      if not names_of[loser] then undeclared[#undeclared + 1] = loser end
    end
    new.version = new.version or old.version
    if new.version and old.snapshot_id ~= new.snapshot_id then return nil, { 'taken', old.snapshot_id } end
    if is_local and not loser and not old.by_hand and old.snapshot_id == new.snapshot_id and
      old.manifest == new.manifest and old.version == new.version then
      return 'unchanged'
    end
  end

  if not open(snapshot) then return nil, { 'corrupt', snapshot } end
  for application, set in pairs(names_of) do
    if application == new.application or application == loser then redis.call('SCARD', set) end
  end
  standing[key] = new
  local entry = entry_start .. new.at .. entry_end .. (new.version and ',"version":true}' or '}')
  step(function()
    redis.call('SET', key, open(snapshot) .. ',"favonius":' .. entry .. '}')
    local kind = redis.call('TYPE', history).ok
    if kind ~= 'list' and kind ~= 'none' then redis.call('DEL', history) end
    redis.call('LPUSH', history, entry)
    redis.call('LTRIM', history, 0, HISTORY_LIMIT - 1)
    redis.call('SADD', names_of[new.application], name)
    if loser then redis.call('SREM', names_of[loser], name) end
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
for _, write in ipairs(steps) do write() end
return reply
