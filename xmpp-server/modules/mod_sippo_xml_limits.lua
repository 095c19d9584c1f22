--- How deep the elements of a stanza may be nested, and how many there may be.
--
-- Prosody bounds a stanza's bytes. In as many bytes as one may have are tens of thousands of elements, and each costs
-- time and memory wherever the stanza is parsed, copied, written and stored; nested ones most of all, since everything
-- that walks them recurs. Whoever sends more than `sippo_xml_depth_limit` levels (default 100) or
-- `sippo_xml_element_limit` elements (default 10000) in a stanza gets the stream error `policy-violation`. A stream
-- from another cell may have more: it carries what its users may send with all that is put around it, and is others'
-- as well.
--
-- The place to see it is the parser, before the elements are there. util.xmppstream has no way in but its local
-- function that makes the parser's handlers. Load it globally.

module:set_global();

local xmppstream = require "util.xmppstream";

local max_depth = module:get_option_number("sippo_xml_depth_limit", 100);
local max_elements = module:get_option_number("sippo_xml_element_limit", 10000);
local added_levels, added_elements = 20, 10000; -- by another cell: what rooms and archives put around a stanza

--- The number of a function's upvalue by its name.
local function upvalue(f, name)
	for index = 1, 255 do
		local found = debug.getupvalue(f, index);
		if found == name then return index; end
	end
	error("util.xmppstream has changed: mod_sippo_xml_limits cannot bound how stanzas are nested; see how it makes "
		.."its handlers by now");
end

local index = upvalue(xmppstream.new, "new_sax_handlers");
local _, new_sax_handlers = debug.getupvalue(xmppstream.new, index);

--- What is wrong with a stanza of these levels and elements, or nil.
local function problem_of(depth, elements, levels_more, elements_more)
	return depth > max_depth + levels_more + 1 and "too deep"
		or elements >= max_elements + elements_more and "too many" or nil;
end

--- Adds the limits to the handlers of one stream.
local function limit(handlers, meta, session)
	local depth, elements = 0, 0;
	local start_element, end_element = handlers.StartElement, handlers.EndElement;

	function handlers.StartElement(parser, name, attr)
		depth = depth + 1;
		elements = depth > 2 and elements + 1 or 0; -- 1 is the stream, 2 the stanza
		local problem = problem_of(depth, elements, 0, 0);
		if problem and (session.type or ""):sub(1, 3) == "s2s" then
			problem = problem_of(depth, elements, added_levels, added_elements);
		end
		if not problem then return start_element(parser, name, attr); end
		(session.log or module._log)("info", "Stream ends: the elements of a stanza are %s", problem);
		session:close({ condition = "policy-violation", text = "The elements of a stanza are "..problem });
		parser:stop();
	end

	function handlers.EndElement(parser, name)
		depth = depth - 1;
		return end_element(parser, name);
	end

	--- How many elements are open, the stream's included: mod_sippo_websocket_limits asks.
	local function open_elements() return depth; end
	session.sippo_open_elements = open_elements;

	local reset, set_session = meta.reset, meta.set_session;
	function meta.reset()
		depth, elements = 0, 0;
		return reset();
	end
	function meta.set_session(stream, new_session)
		session = new_session;
		session.sippo_open_elements = open_elements;
		return set_session(stream, new_session);
	end
end

local function with_limits(session, ...)
	local handlers, meta = new_sax_handlers(session, ...);
	limit(handlers, meta, session);
	return handlers, meta;
end

debug.setupvalue(xmppstream.new, index, with_limits);

function module.unload()
	debug.setupvalue(xmppstream.new, index, new_sax_handlers);
end
