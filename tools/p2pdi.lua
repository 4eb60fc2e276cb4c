-- Wireshark dissector for p2pdi (rfcs/0001-wire.txt).
--
-- Load it for one run:   tshark -X lua_script:tools/p2pdi.lua -r FILE
-- or copy it to the personal plugin folder (Help, About Wireshark, Folders).
--
-- The RS's ports are a preference (p2pdi.ports). Peers listen anywhere; their
-- streams are known by the version frame they begin with, or by Decode As where
-- another protocol owns the port. Marked parts are rendered by tests/spec.rs.

local p2pdi = Proto("p2pdi", "p2pdi file distribution")

local fields = {
  pdu = ProtoField.string("p2pdi.pdu", "PDU"),
  type = ProtoField.string("p2pdi.type", "type"),
  length = ProtoField.uint32("p2pdi.length", "length"),
  form = ProtoField.uint8("p2pdi.form", "form", base.DEC, { [0] = "asks", [1] = "answers" }),
  version = ProtoField.uint16("p2pdi.version", "version"),
  token = ProtoField.bytes("p2pdi.token", "token"),
}
local malformed = ProtoExpert.new("p2pdi.malformed", "Malformed", expert.group.MALFORMED, expert.severity.ERROR)
p2pdi.experts = { malformed }

local HEADER_BYTES = 5
local ENVELOPE_BYTES = 2 + 8
local MAGIC = "P2PDI"

-- begin generated: refusals
local refusals = { [300] = "Ambiguous", [400] = "BadFrame", [505] = "BadVersion", [501] = "NotServed",
  [401] = "BadCookie", [404] = "NotFound", [409] = "StaleNumber", [410] = "NameTaken", [429] = "LimitReached",
  [503] = "Busy", [413] = "UseTcp", [416] = "BadRange", [417] = "ContentLost", [423] = "RingBusy",
  [424] = "NotMember", [412] = "OtherRing", [406] = "IdTaken", [421] = "NotOwner", }
-- end generated

-- Layouts. Each knows how to make its protocol field and how to show a value
-- at a cursor: show(cursor, tree, row) is false once the value is at fault.

local function fault(cursor, tree, text)
  if cursor.snapped then
    tree:append_text(" [cut by the capture]")
  else
    tree:add_proto_expert_info(malformed, text)
  end
  return false
end

local function too_long(cursor, tree, name, got, max)
  return fault(cursor, tree, string.format("%s: length %d is over the limit of %d", name, got, max))
end

local function unknown(cursor, tree, name, value)
  return fault(cursor, tree, string.format("%s: unknown value %d", name, value))
end

local function left(cursor) return cursor.stop - cursor.at end

local function take(cursor, tree, count, name)
  if left(cursor) < count then
    return fault(cursor, tree, name .. ": cut short")
  end
  local range = cursor.tvb:range(cursor.at, count)
  cursor.at = cursor.at + count
  return range
end

local function take_count(cursor, tree, max, name)
  local range = take(cursor, tree, 2, name)
  if range and range:uint() > max then return too_long(cursor, tree, name, range:uint(), max) end
  return range
end

local function fixed(bytes, field)
  return {
    field = field,
    show = function(cursor, tree, row)
      local range = take(cursor, tree, bytes, row.name)
      if not range then return false end
      tree:add(row.field, range)
      return true
    end,
  }
end

local words = { kind = { [0] = "file", [1] = "tree" }, code = refusals }
local integers = { [1] = ProtoField.uint8, [2] = ProtoField.uint16, [4] = ProtoField.uint32, [8] = ProtoField.uint64 }

local function u(bytes)
  return fixed(bytes, function(abbr, row)
    return integers[bytes](abbr, row.name, base.DEC, words[row.name], nil, row.doc)
  end)
end

local function as_bytes(abbr, row) return ProtoField.bytes(abbr, row.name, base.NONE, row.doc) end

local function bytes(count) return fixed(count, as_bytes) end

local i64 = fixed(8, function(abbr, row) return ProtoField.int64(abbr, row.name, base.DEC, nil, nil, row.doc) end)

local function flag(cursor, tree, name)
  local range = take(cursor, tree, 1, name)
  if range and range:uint() > 1 then return unknown(cursor, tree, name, range:uint()) end
  return range
end

local bool = {
  field = function(abbr, row)
    return ProtoField.bool(abbr, row.name, base.NONE, nil, nil, row.doc)
  end,
  show = function(cursor, tree, row)
    local range = flag(cursor, tree, row.name)
    if not range then return false end
    tree:add(row.field, range)
    return true
  end,
}

local function text(max)
  return {
    field = function(abbr, row)
      return ProtoField.string(abbr, row.name, base.UNICODE, row.doc)
    end,
    show = function(cursor, tree, row)
      local start = cursor.at
      local length = take_count(cursor, tree, max, row.name)
      if not length then return false end
      local count = length:uint()
      local said = ""
      if count > 0 then
        local range = take(cursor, tree, count, row.name)
        if not range then return false end
        said = range:string(ENC_UTF_8)
      end
      tree:add(row.field, cursor.tvb:range(start, 2 + count), said)
      return true
    end,
  }
end

local function rest(max)
  return {
    field = as_bytes,
    show = function(cursor, tree, row)
      local count = left(cursor)
      if count > max then return too_long(cursor, tree, row.name, count, max) end
      if count > 0 then tree:add(row.field, take(cursor, tree, count, row.name)) end
      return true
    end,
  }
end

local function optional(inner)
  return {
    field = inner.field,
    show = function(cursor, tree, row)
      local present = flag(cursor, tree, row.name)
      if not present then return false end
      if present:uint() == 0 then
        tree:add(present, row.name .. ": absent")
        return true
      end
      return inner.show(cursor, tree, row)
    end,
  }
end

local function list(max, inner)
  return {
    field = inner.field,
    is_list = true,
    show = function(cursor, tree, row)
      local start = cursor.at
      local count = take_count(cursor, tree, max, row.name)
      if not count then return false end
      local branch = tree:add(row.count, count)
      for _ = 1, count:uint() do
        if not inner.show(cursor, branch, row) then return false end
      end
      branch:set_len(cursor.at - start)
      return true
    end,
  }
end

-- Gives each row of an owner its protocol field: p2pdi.OWNER.FIELD.
local function declare(owner, rows)
  local declared = {}
  for position, row in ipairs(rows) do
    local name, layout, doc = row[1], row[2], row[3]
    local key = string.lower(owner .. "." .. name)
    local made = { name = name, layout = layout, doc = doc }
    made.field = layout.field("p2pdi." .. key, made)
    fields[key] = made.field
    if layout.is_list then
      made.count = ProtoField.uint16("p2pdi." .. key .. ".count", name, base.DEC, nil, nil, doc)
      fields[key .. ".count"] = made.count
    end
    declared[position] = made
  end
  return declared
end

local function as_branch(abbr, row) return ProtoField.none(abbr, row.name, row.doc) end

local function record(owner, rows)
  local declared = declare(owner, rows)
  return {
    field = as_branch,
    show = function(cursor, tree, row)
      if left(cursor) < 1 then return fault(cursor, tree, row.name .. ": cut short") end
      local start = cursor.at
      local branch = tree:add(row.field, cursor.tvb:range(start, 1))
      for _, inner in ipairs(declared) do
        if not inner.layout.show(cursor, branch, inner) then return false end
      end
      branch:set_len(cursor.at - start)
      return true
    end,
  }
end

local function choice(owner, rows)
  local declared = declare(owner, rows)
  return {
    field = as_branch,
    show = function(cursor, tree, row)
      local start = cursor.at
      local selector = take(cursor, tree, 1, row.name)
      if not selector then return false end
      local chosen = declared[selector:uint() + 1]
      if not chosen then return unknown(cursor, tree, row.name, selector:uint()) end
      local branch = tree:add(row.field, selector)
      if not chosen.layout.show(cursor, branch, chosen) then return false end
      branch:set_len(cursor.at - start)
      return true
    end,
  }
end

local of = {}
local letters = {}

local function pdu(letter, form, name, max, rows)
  letters[letter] = letters[letter] or { max = max, forms = {} }
  letters[letter].forms[form or "only"] = { name = name, form = form, rows = declare(name, rows) }
end

-- begin generated: layouts
of.PeerInfo = record("PeerInfo", { { "number", u(8), "its number at the RS, the cursor of pages" },
  { "name", text(255), "its name" }, { "host", text(255), "where it is reached" },
  { "port", u(2), "its TCP port" }, { "os", text(64), "operating system" },
  { "lease_secs", u(4), "seconds until its lease ends; 0 if it has none" },
  { "registrations", u(4), "registrations in the last 30 days" },
  { "registered", i64, "last registration, seconds since 1970 UTC" } })
of.ContentInfo = record("ContentInfo", { { "kind", u(1), "0 file, 1 tree" },
  { "name", text(1000), "path below the shared directory" }, { "id", bytes(32), "BLAKE3 of the bytes" },
  { "bytes", u(8), "length of the content" },
  { "modified", i64, "last modification, seconds since 1970 UTC" },
  { "media_type", text(127), "media type, as text/plain" },
  { "number", optional(u(4)), "RFC number, of files called rfcNUMBER.txt only" },
  { "title", optional(text(255)), "title, read from the text of an RFC" } })
of.ContentKey = record("ContentKey", { { "name", text(1000), "path below the shared directory" },
  { "id", bytes(32), "BLAKE3 of the bytes" } })
of.Wanted = choice("Wanted", { { "Name", text(1000), "a name" }, { "Id", bytes(32), "a content id" },
  { "Number", u(4), "an RFC number" } })
of.Holder = record("Holder", { { "name", text(255), "the peer's name" },
  { "host", text(255), "where it is reached" }, { "port", u(2), "its TCP port" },
  { "complete", bool, "1 if it holds every piece" } })
of.Listing = record("Listing", { { "content", of.ContentInfo, "the content" },
  { "holders_total", u(4), "how many active holders there are" },
  { "holders", list(64, of.Holder), "the first of them, in the order of the RS's policy" } })
of.PeerAddress = record("PeerAddress", { { "host", text(255), "the host" },
  { "port", u(2), "the TCP port" } })
of.Counter = record("Counter", { { "what", text(48), "what is counted" },
  { "total", u(8), "how often since the RS started" },
  { "last_minute", u(8), "how often in the last minute" } })
of.GossipRecord = record("GossipRecord", { { "name", text(255), "the holder's peer name" },
  { "host", optional(text(255)), "where it is reached; absent means the peer that sends this, where you reached it" },
  { "port", u(2), "its TCP port" }, { "sequence", u(8), "the holder's own sequence number; the higher wins" },
  { "remaining_secs", u(4), "seconds for which the claim still lives" },
  { "withdrawn", bool, "1 if the holder no longer has it" },
  { "complete", bool, "1 if it holds every piece" } })
of.IndexEntry = record("IndexEntry", { { "content", of.ContentInfo, "the content" },
  { "holders", list(64, of.GossipRecord), "the claims" } })
of.ByteRange = record("ByteRange", { { "offset", u(8), "first byte" },
  { "bytes", u(8), "how many; all that follow if it reaches past the end" } })
of.Part = choice("Part", { { "Range", of.ByteRange, "a byte range" },
  { "Pieces", list(1024, u(4)), "whole pieces" } })
of.RingShape = record("RingShape", { { "id_bits", u(2), "bits of an id, 1 to 160" },
  { "hash", u(1), "what ids are derived with: 0 SHA-1, 1 BLAKE3" },
  { "successors", u(2), "how many successors a node lists" } })
of.NodeAddress = record("NodeAddress", {
  { "ip", bytes(16), "the IPv6 address, or an IPv4 address mapped into one" },
  { "port", u(2), "the TCP port" } })
of.RingMember = record("RingMember", { { "address", of.NodeAddress, "where it is reached" },
  { "incarnation", u(8), "random; tells a node that came back from what it was" } })
of.RingView = record("RingView", { { "version", u(8), "grows with every change" },
  { "grown", bool, "1 if the ring is young no more" },
  { "members", list(33, of.RingMember), "the members by seniority, the one that leads first" } })
of.RingRecord = record("RingRecord", {
  { "key", u(1), "what its key is derived from: 0 the name, 1 the id, 2 the document's number" },
  { "place", bool, "1 if the nodes that keep the record are to hold the content too" },
  { "content", of.ContentInfo, "the content" },
  { "holders", list(64, of.GossipRecord), "the claims of its holders" } })
pdu("V", nil, "Version", 17, { { "magic", bytes(5), "the bytes P2PDI" },
  { "version_min", u(2), "lowest version spoken" }, { "version_max", u(2), "highest version spoken" },
  { "features", u(8), "feature bits" } })
pdu("J", nil, "Join", 616, { { "request", u(8), "request number" },
  { "nonce", u(8), "random; tells a repeated first Join from a second peer" },
  { "cookie", optional(bytes(16)), "the cookie of an earlier Join" },
  { "name", text(255), "the peer's name" },
  { "host", optional(text(255)), "where others reach it; absent means the address the RS sees" },
  { "port", u(2), "its TCP port" }, { "os", text(64), "operating system" } })
pdu("L", nil, "Leave", 24, { { "request", u(8), "request number" },
  { "cookie", bytes(16), "the peer's cookie" } })
pdu("K", nil, "KeepAlive", 24, { { "request", u(8), "request number" },
  { "cookie", bytes(16), "the peer's cookie" } })
pdu("P", 0, "PQuery", 131072, { { "request", u(8), "request number" },
  { "cookie", optional(bytes(16)), "the peer's cookie" },
  { "after", u(8), "last number of the page before; 0 at first" } })
pdu("P", 1, "Peers", 131072, { { "request", u(8), "number of the request" },
  { "more", bool, "1 if pages follow" }, { "peers", list(1024, of.PeerInfo), "the peers by rising number" } })
pdu("R", nil, "Register", 1468, { { "request", u(8), "request number" },
  { "cookie", bytes(16), "the peer's cookie" }, { "content", of.ContentInfo, "the content" },
  { "complete", bool, "1 if the peer holds every piece" } })
pdu("T", nil, "Deregister", 1058, { { "request", u(8), "request number" },
  { "cookie", bytes(16), "the peer's cookie" }, { "key", of.ContentKey, "which content" } })
pdu("S", 0, "Search", 131072, { { "request", u(8), "request number" },
  { "wanted", of.Wanted, "what is looked for" },
  { "after", optional(of.ContentKey), "last key of the page before" } })
pdu("S", 1, "Found", 131072, { { "request", u(8), "number of the request" },
  { "more", bool, "1 if pages follow" },
  { "contents", list(1024, of.Listing), "the contents by rising key" } })
pdu("O", 0, "ListContents", 131072, { { "request", u(8), "request number" },
  { "kind", u(1), "0 files, 1 trees" }, { "after", optional(of.ContentKey), "last key of the page before" } })
pdu("O", 1, "Contents", 131072, { { "request", u(8), "number of the request" },
  { "more", bool, "1 if pages follow" },
  { "contents", list(1024, of.Listing), "the contents by rising key" } })
pdu("B", nil, "ReportHolder", 267, { { "request", u(8), "request number" },
  { "holder", of.PeerAddress, "where it was not reached" } })
pdu("s", 0, "StatusQuery", 90322, { { "request", u(8), "request number" } })
pdu("s", 1, "Status", 90322, { { "request", u(8), "number of the request" },
  { "uptime_secs", u(8), "seconds since the RS started" },
  { "peers_known", u(8), "peers it knows, active or not" }, { "peers_active", u(8), "peers it hands out" },
  { "contents", u(8), "contents with a holder" }, { "connections", u(8), "open connections" },
  { "store_bytes", optional(u(8)), "size of the store; absent without one" },
  { "slowest_us", u(8), "longest time from a request to its answer, the store included, in microseconds" },
  { "slowest_minute_us", u(8), "the same in the last minute" },
  { "served", list(64, of.Counter), "requests by their PDU" },
  { "refused", list(64, of.Counter), "refusals by their name" },
  { "dropped", list(64, of.Counter), "connections and datagrams dropped, by the reason" },
  { "offline", list(128, of.PeerInfo), "peers it knows and does not hand out: first those that did not answer, whose leases run; then the latest gone" } })
pdu("I", 0, "IndexQuery", 131072, { { "request", u(8), "request number" },
  { "after", optional(of.ContentKey), "last key of the page before" } })
pdu("I", 1, "Index", 131072, { { "request", u(8), "number of the request" },
  { "more", bool, "1 if pages follow" },
  { "contents", list(1024, of.IndexEntry), "the contents by rising key" } })
pdu("D", nil, "Download", 5110, { { "request", u(8), "request number" },
  { "wanted", of.Wanted, "which content" }, { "part", of.Part, "which part of it" } })
pdu("C", nil, "Content", 262164, { { "request", u(8), "number of the request" },
  { "piece", u(4), "the piece the bytes lie in" }, { "offset", u(8), "their position in the content" },
  { "payload", rest(262144), "the bytes" } })
pdu("F", nil, "Final", 259, { { "request", u(8), "number of the request" },
  { "id", bytes(32), "the content's id" }, { "bytes", u(8), "length of the whole content" },
  { "modified", i64, "last modification, seconds since 1970 UTC" },
  { "date", i64, "the holder's clock, seconds since 1970 UTC" }, { "media_type", text(127), "media type" },
  { "os", text(64), "the holder's operating system" } })
pdu("A", nil, "Ack", 287, { { "request", u(8), "number of the request" },
  { "cookie", optional(bytes(16)), "the peer's cookie, after a Join" },
  { "lease_secs", u(4), "seconds until the lease ends; 0 where there is none" },
  { "host", optional(text(255)), "the address others are given, after a Join" } })
pdu("E", nil, "Error", 267, { { "request", u(8), "number of the request; 0 if it could not be read" },
  { "code", u(2), "the refusal" }, { "text", text(255), "what was refused and what to do" } })
pdu("H", nil, "Challenge", 16, { { "request", u(8), "number of the request" },
  { "token", bytes(8), "the token for the address the request came from" } })
pdu("G", 0, "ManifestQuery", 98327, { { "request", u(8), "request number" },
  { "id", bytes(32), "which content" }, { "first", u(4), "the first piece wanted" } })
pdu("G", 1, "Manifest", 98327, { { "request", u(8), "number of the request" },
  { "bytes", u(8), "length of the whole content" }, { "first", u(4), "the piece of the first value" },
  { "values", list(3072, bytes(32)), "one value a piece" } })
pdu("M", nil, "HaveMap", 131050, { { "request", u(8), "number of the exchange" },
  { "id", bytes(32), "which content" }, { "port", u(2), "where the sender serves what it has; 0 if nowhere" },
  { "map", rest(131008), "one bit a piece, the first piece highest" } })
pdu("U", nil, "HaveUpdate", 20684, { { "request", u(8), "number of the exchange" },
  { "pieces", list(1024, u(4)), "pieces the sender has gained" },
  { "holders", list(64, of.PeerAddress), "others the sender knows" } })
pdu("d", nil, "Dry", 12, { { "request", u(8), "number of the exchange" },
  { "hoped_before_millis", u(4), "milliseconds since the sender last had hope of more pieces" } })
pdu("Q", nil, "Credit", 10, { { "request", u(8), "number of the exchange" },
  { "pieces", u(2), "pieces more" } })
pdu("N", nil, "Choice", 13, { { "request", u(8), "number of the exchange" },
  { "piece", u(4), "the piece that follows" },
  { "first", bool, "1 if nobody else here has it: the receiver passes it on first" } })
pdu("X", nil, "Settled", 4106, { { "request", u(8), "number of the exchange" },
  { "pieces", list(1024, u(4)), "the pieces not wanted any more" } })
pdu("W", nil, "Want", 4106, { { "request", u(8), "number of the exchange" },
  { "pieces", list(1024, u(4)), "the pieces that did not come" } })
pdu("Y", 0, "RingAsk", 5063, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the asker's ring" } })
pdu("Y", 1, "RingState", 5063, { { "request", u(8), "number of the request" },
  { "node", of.RingMember, "the node that answers" },
  { "predecessor", optional(of.RingMember), "the node before it; absent if it is alone" },
  { "successors", list(32, of.RingMember), "the nodes after it, the next one first" },
  { "view", optional(of.RingView), "everybody, while the ring is young" } })
pdu("Y", 2, "RingNotify", 5063, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the sender's ring" }, { "sender", of.RingMember, "the sender" } })
pdu("Y", 3, "RingAck", 5063, { { "request", u(8), "number of the request" },
  { "node", of.RingMember, "the node that answers" } })
pdu("Y", 4, "RingPing", 5063, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the asker's ring" } })
pdu("Y", 5, "RingStep", 5063, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the asker's ring" }, { "key", bytes(20), "the key" },
  { "confirm", bool, "1 if the receiver is said to own the key, and is to say whether it does" } })
pdu("Y", 6, "RingHops", 5063, { { "request", u(8), "number of the request" },
  { "node", of.RingMember, "the node that answers" }, { "verdict", u(1), "how near the nodes below are" },
  { "nodes", list(32, of.RingMember), "whom to ask next, the best first" } })
pdu("Y", 7, "RingJoin", 5063, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the sender's ring" }, { "sender", of.RingMember, "who wants to join" } })
pdu("Y", 8, "RingLeave", 5063, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the sender's ring" }, { "sender", of.RingMember, "who leaves" } })
pdu("Y", 9, "RingMembers", 5063, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the sender's ring" }, { "sender", of.RingMember, "who leads" },
  { "view", of.RingView, "everybody" } })
pdu("Y", 10, "RingLook", 5063, { { "request", u(8), "request number" } })
pdu("Y", 11, "RingTable", 5063, { { "request", u(8), "number of the request" },
  { "ring", of.RingShape, "the node's ring" }, { "node", of.RingMember, "the node that answers" },
  { "predecessor", optional(of.RingMember), "the node before it; absent if it is not known" },
  { "successors", list(32, of.RingMember), "the nodes after it, the next one first" },
  { "fingers", list(160, of.RingMember), "who comes first at 2^i after the node, for each bit of an id" } })
pdu("Z", 0, "RingStore", 131072, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the sender's ring" },
  { "sender", of.RingMember, "the node that sends them; a publisher that is no member has incarnation 0" },
  { "copy", bool, "0 if they are claims of the sender, 1 if they are copies between nodes that keep them" },
  { "records", list(256, of.RingRecord), "the records" } })
pdu("Z", 1, "RingFetch", 131072, { { "request", u(8), "request number" },
  { "ring", of.RingShape, "the asker's ring" }, { "wanted", of.Wanted, "what is looked for" },
  { "after", optional(of.ContentKey), "last key of the page before" } })
pdu("Z", 2, "RingRecords", 131072, { { "request", u(8), "number of the request" },
  { "more", bool, "1 if pages follow" },
  { "records", list(256, of.RingRecord), "the records by rising key" } })
-- end generated

p2pdi.fields = fields

-- The PDU of a value: by its letter, and where that is shared by the form
-- byte behind the request number.
local function pdu_of(cursor, tree, letter)
  if letter.forms.only then return letter.forms.only end
  if left(cursor) < 9 then return fault(cursor, tree, "form: cut short") end
  local form = cursor.tvb:range(cursor.at + 8, 1):uint()
  return letter.forms[form] or unknown(cursor, tree, "form", form)
end

local function show_value(cursor, tree, letter, pinfo)
  local found = pdu_of(cursor, tree, letter)
  if not found then return end
  tree:add(fields.pdu, cursor.tvb:range(0, 1), found.name):set_generated()
  tree:append_text(", " .. found.name)
  pinfo.cols.info:append(found.name .. " ")
  for position, row in ipairs(found.rows) do
    if not row.layout.show(cursor, tree, row) then return end
    if position == 1 and found.form then
      tree:add(fields.form, take(cursor, tree, 1, "form"))
    end
  end
  if left(cursor) > 0 then
    fault(cursor, tree, string.format("%s: followed by %d bytes too many", found.name, left(cursor)))
  end
end

-- One frame that should fill the whole buffer, of which the capture may have less.
local function show_frame(tvb, bytes, pinfo, root, envelope_bytes)
  local tree = root:add(p2pdi, tvb:range())
  local cursor = { tvb = tvb, at = 0, stop = tvb:len(), snapped = tvb:len() < bytes }
  local type = take(cursor, tree, 1, "type")
  local length = type and take(cursor, tree, 4, "length")
  if not length then return end
  tree:add(fields.type, type, string.char(type:uint()))
  tree:add(fields.length, length)
  local letter = letters[string.char(type:uint())]
  if not letter then return unknown(cursor, tree, "type", type:uint()) end
  local max = letter.max + envelope_bytes
  if length:uint() > max then return too_long(cursor, tree, "length", length:uint(), max) end
  if length:uint() ~= bytes - HEADER_BYTES then
    return fault(cursor, tree, string.format("length: %d does not end with the bytes", length:uint()))
  end
  if envelope_bytes > 0 then
    local version = take(cursor, tree, 2, "version")
    local token = version and take(cursor, tree, 8, "token")
    if not token then return end
    tree:add(fields.version, version)
    tree:add(fields.token, token)
  end
  show_value(cursor, tree, letter, pinfo)
end

-- Bytes of the frame at an offset. A header that no frame has takes all that
-- is there: behind it nothing can be found again.
local function frame_bytes(tvb, offset)
  local all = tvb:reported_len() - offset
  if all < HEADER_BYTES then return HEADER_BYTES end
  if tvb:len() - offset < HEADER_BYTES then return all end
  local letter = letters[string.char(tvb:range(offset, 1):uint())]
  local length = tvb:range(offset + 1, 4):uint()
  if not letter or length > letter.max then return all end
  return HEADER_BYTES + length
end

-- Not dissect_tcp_pdus, which fails where the capture ends between two frames.
local function show_stream(tvb, pinfo, root)
  local at = 0
  while at < tvb:len() do
    local bytes = frame_bytes(tvb, at)
    local missing = bytes - (tvb:reported_len() - at)
    if missing > 0 and pinfo.can_desegment > 0 then
      pinfo.desegment_offset = at
      pinfo.desegment_len = bytes > HEADER_BYTES and missing or DESEGMENT_ONE_MORE_SEGMENT
      return
    end
    show_frame(tvb:range(at, math.min(bytes, tvb:len() - at)):tvb(), bytes, pinfo, root, 0)
    at = at + bytes
  end
end

p2pdi.prefs.ports = Pref.range("RS ports", "65423", "TCP and UDP ports of registration servers", 65535)

-- Requests and answers over UDP differ in their envelope; the RS's port tells
-- which way a datagram goes.
local function is_rs_port(port)
  for first, last in string.gmatch(p2pdi.prefs.ports, "(%d+)%-?(%d*)") do
    if port >= tonumber(first) and port <= (tonumber(last) or tonumber(first)) then return true end
  end
  return false
end

local PORT_TYPE_UDP = 3

local function dissect(tvb, pinfo, root)
  if tvb:len() == 0 then return 0 end
  pinfo.cols.protocol = "P2PDI"
  pinfo.cols.info:clear()
  if pinfo.port_type == PORT_TYPE_UDP then
    show_frame(tvb, tvb:reported_len(), pinfo, root, is_rs_port(pinfo.dst_port) and ENVELOPE_BYTES or 0)
  else
    show_stream(tvb, pinfo, root)
  end
  pinfo.cols.info:fence()
  return tvb:len()
end

p2pdi.dissector = dissect

local function is_version_frame(tvb)
  return tvb:len() >= HEADER_BYTES + #MAGIC
    and tvb:range(0, 1):string() == "V"
    and tvb:range(1, 4):uint() == letters.V.max
    and tvb:range(HEADER_BYTES, #MAGIC):string() == MAGIC
end

p2pdi:register_heuristic("tcp", function(tvb, pinfo, root)
  if not is_version_frame(tvb) then return false end
  pinfo.conversation = p2pdi
  -- Not by p2pdi.dissector: a dissector called by another may not ask for more bytes.
  dissect(tvb, pinfo, root)
  return true
end)

local registered = ""
local function register_ports()
  if registered == p2pdi.prefs.ports then return end
  for _, transport in ipairs({ "tcp.port", "udp.port" }) do
    local ports = DissectorTable.get(transport)
    if registered ~= "" then ports:remove(registered, p2pdi) end
    if p2pdi.prefs.ports ~= "" then ports:add(p2pdi.prefs.ports, p2pdi) end
  end
  registered = p2pdi.prefs.ports
end

p2pdi.prefs_changed = register_ports
register_ports()
