--- WebSocket frames of clients (RFC 6455, RFC 7395): whole messages for mod_websocket, within limits.
--
-- mod_websocket refuses fragmented messages, which browsers make of long ones (Chromium from 128 KiB on), takes frames
-- without a mask, allows 512 KiB before login, and hands on what came in one piece in one piece: a second <open/> that
-- nobody asked for would become the parent of all that follows. This module stands before it and
--   * puts fragments together, up to `c2s_stanza_size_limit`, before login `c2s_unauthed_stanza_size_limit`; a longer
--     message ends the session with `policy-violation` as soon as its header or fragment tells;
--   * refuses frames that are not masked (RFC 6455, section 5.1) or not in order (section 5.4);
--   * hands on message after message, so that each finds the session as the one before has left it, and none, nor a
--     close, while the session waits (`sippo_waiting`, of mod_sippo_fair_share);
--   * answers no ping while earlier answers are not read (RFC 6455, section 5.5.3, asks for the latest only);
--   * ends a stream in which <open/> comes while it is open, or a message behind one that is no whole element (RFC
--     7395, section 3.3): all that comes would be lost in what that has left open.
--
-- A resumed session (XEP-0198) goes on with what reads its new connection. mod_smacks leaves it the old connection's
-- buffer and parser: what was cut off there would spoil all that comes.

module:set_global();

local frames = require "net.websocket.frames";
local parse_xml = require "util.xml".parse;
local sxor = require "util.strbitop".sxor;
local unpack = string.unpack;

local unsent = module:require "sippo_send_buffer";

local limit = module:get_option_number("c2s_stanza_size_limit", 256 * 1024);
local unauthed_limit = math.min(limit, module:get_option_number("c2s_unauthed_stanza_size_limit", 10000));

local xmlns_framing = "urn:ietf:params:xml:ns:xmpp-framing";
local max_drop, max_drop_time = 4 * limit, 2; -- bytes of a frame, seconds: waited for before a session ends
local max_pieces = 1024; -- of a text in memory, before they are put together: they may be a byte each
local max_unsent = 16 * 1024; -- bytes that lie on a connection, from which on pings have no answer
local op_continuation, op_text, op_binary, op_close, op_ping, op_pong = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA;
local protocol_error, unsupported_data, too_big = 1002, 1003, 1009; -- RFC 6455, section 7.4.1

--- A text that grows.
local function new_text()
	return { pieces = {}, count = 0, size = 0 };
end

local function append(text, piece)
	text.count, text.size = text.count + 1, text.size + #piece;
	text.pieces[text.count] = piece;
	if text.count >= max_pieces then text.pieces, text.count = { table.concat(text.pieces) }, 1; end
end

--- The header of the frame at `pos` of `data`, or nil and how many bytes it needs at least.
local function parse_header(data, pos)
	local available = #data - pos + 1;
	if available < 2 then return nil, 2; end
	local first, second = data:byte(pos, pos + 1);
	local length, masked = second & 0x7F, second & 0x80 ~= 0;
	local extra = length == 126 and 2 or length == 127 and 8 or 0;
	local size = 2 + extra + (masked and 4 or 0);
	if available < size then return nil, size; end
	if extra > 0 then length = unpack(extra == 2 and ">I2" or ">i8", data, pos + 2); end
	return {
		fin = first & 0x80 ~= 0, reserved = first & 0x70 ~= 0, opcode = first & 0x0F, length = length, size = size,
		key = masked and data:sub(pos + 2 + extra, pos + 5 + extra) or nil,
	};
end

--- What is wrong with a frame, as a close code and a text; nil when it may come.
local function problem(reader, frame)
	if frame.reserved then
		return protocol_error, "Reserved bits not zero";
	elseif not frame.key then
		return protocol_error, "Client frames must be masked, RFC 6455 5.1";
	elseif frame.opcode >= op_close then
		if frame.opcode > op_pong then return protocol_error, "Reserved opcode"; end
		if not frame.fin then return protocol_error, "Fragmented control frame"; end
		if frame.length > 125 or frame.length < 0 then return protocol_error, "Payload too large"; end
		return;
	elseif frame.opcode == op_binary then
		return unsupported_data, "Only text frames are supported, RFC 7395 3.2";
	elseif frame.opcode > op_binary then
		return protocol_error, "Reserved opcode";
	elseif (frame.opcode == op_continuation) ~= (reader.message ~= nil) and not reader.dropping then
		return protocol_error, "Fragment out of order, RFC 6455 5.4";
	end
	local most = reader.session.type == "c2s_unauthed" and unauthed_limit or limit;
	local size = (reader.message and reader.message.size or 0) + frame.length;
	if frame.length < 0 or size > most then return too_big; end -- < 0: of 2^63 bytes or more
end

local function refuse(reader, code, text)
	local session, conn = reader.session, reader.conn;
	module:log("debug", "Connection of %s ends: %s", session.full_jid or session.ip, text);
	conn:write(frames.build_close(code, text));
	conn:close();
end

-- Ends the session, not the connection only: a client that resumes would send the same again.
local function end_session(reader)
	if reader.session.conn ~= reader.conn then return; end
	reader.session:close({ condition = "policy-violation", text = "stanza too large" });
end

--- Drops a frame of a message that is too large, of which `available` bytes are here. The session ends with the message
-- (a connection that is closed with something unread is reset, and the client would not read why) or in a short time.
-- Returns true when there is more of it to come.
local function drop(reader, frame, available)
	if not reader.dropping then
		reader.dropping, reader.message = true, nil;
		module:add_timer(max_drop_time, function () end_session(reader); end);
	end
	reader.ends, reader.needed = frame.opcode < op_close and frame.fin, 2;
	reader.skip = frame.size + frame.length - available;
	if frame.length < 0 or frame.length > max_drop or reader.ends and reader.skip <= 0 then
		end_session(reader);
	end
	return reader.skip >= 0;
end

--- What of `piece` is not dropped.
local function undropped(reader, piece)
	local skip = math.min(reader.skip, #piece);
	reader.skip = reader.skip - skip;
	if reader.skip == 0 and reader.ends then end_session(reader); end
	return piece:sub(skip + 1);
end

local function is_open(message)
	if not message:find(xmlns_framing, 1, true) then return false; end
	local element = parse_xml(message);
	return element and element.name == "open" and element.attr.xmlns == xmlns_framing;
end

--- Whether the message before has left an element open. Before login that is a matter of the limits and of time.
local function is_unfinished(session)
	local open_elements = session.sippo_open_elements;
	return open_elements and open_elements() > 1 and session.type ~= "c2s_unauthed";
end

local function handle(reader, frame, payload)
	if frame.opcode == op_ping and unsent(reader.conn) > max_unsent then
		return;
	elseif frame.opcode >= op_close then
		return reader.feed(frames.build { FIN = true, opcode = frame.opcode, data = payload });
	end
	local message = reader.message or new_text();
	append(message, payload);
	reader.message = not frame.fin and message or nil;
	if not frame.fin then return; end
	local data = table.concat(message.pieces);
	if is_unfinished(reader.session) then
		reader.session:close({ condition = "not-well-formed", text = "The message before was no whole element" });
	elseif not reader.session.notopen and is_open(data) then
		reader.session:close({ condition = "unsupported-stanza-type", text = "The stream is open already" });
	else
		reader.feed(frames.build { FIN = true, opcode = op_text, data = data });
	end
end

--- Handles the frames of `data` from `pos` on that are complete by now; while the session waits, none.
local function parse(reader, data, pos)
	while reader.session.conn == reader.conn do
		if reader.session.sippo_waiting then
			reader.rest = { data = data, pos = pos };
			return;
		end
		local available = #data - pos + 1;
		local frame, needed = parse_header(data, pos);
		if frame then
			needed = frame.size + frame.length;
			local code, text = problem(reader, frame);
			if code and code ~= too_big then return refuse(reader, code, text); end
			if (code or reader.dropping) and drop(reader, frame, available) then return; end
		end
		if available < needed then
			reader.needed = needed;
			return append(reader.unparsed, data:sub(pos));
		end
		local payload = data:sub(pos + frame.size, pos + needed - 1);
		pos = pos + needed;
		if not reader.dropping then handle(reader, frame, payload ~= "" and sxor(payload, frame.key) or ""); end
	end
end

--- Takes what has come. An empty piece has it go on after the session has waited (mod_sippo_fair_share).
local function read(reader, piece)
	if reader.skip > 0 then piece = undropped(reader, piece); end
	if piece ~= "" then append(reader.unparsed, piece); end
	local rest, unparsed = reader.rest, reader.unparsed;
	if rest and reader.session.sippo_waiting or not rest and unparsed.size < reader.needed then return; end
	local data, pos = rest and rest.data, rest and rest.pos;
	if not rest or unparsed.size > 0 then
		data, pos = (rest and data:sub(pos) or "")..table.concat(unparsed.pieces), 1;
		reader.unparsed = new_text();
	end
	reader.rest = nil;
	parse(reader, data, pos);
end

module:hook("websocket-session", function (event)
	local session = event.session;
	local reader = {
		session = session, conn = session.conn, feed = session.data,
		unparsed = new_text(), needed = 2, skip = 0,
	};
	-- In the session, which is emptied when it ends: lxp's registry keeps a parser's handlers, and so the session, for as
	-- long as anything leads from the session to the parser. A weak table would keep every session's parser for ever.
	session.sippo_reader = reader;
	function session.data(data)
		if data then read(reader, data); end
	end
end);

-- Resumption ---------------------------------------------------------------------------

--- Has `session` read by what reads the connection that it has got from `from`.
local function adopt(session, from)
	local reader = from.sippo_reader;
	if not reader then return; end
	from.sippo_reader, session.sippo_reader = nil, reader;
	reader.session, session.data = session, from.data;
	reader.feed.session = session; -- an upvalue: mod_c2s closes this session when what it reads is no XML
end

-- Prosody 13, before it empties the session that came to resume
module:hook("c2s-session-updated", function (event) adopt(event.session, event.from_session); end);

function module.add_host(host_module)
	host_module:hook("smacks-hibernation-start", function (event)
		-- What was half read of an element will never be whole. Its elements cost a hundred times what the client sent.
		event.origin.stream:reset();
	end);
	host_module:hook("smacks-hibernation-end", function (event) -- Prosody 0.12
		adopt(event.resumed, event.origin);
	end);
end
