--- How much of a room's history is kept in memory, and sent to whoever enters (XEP-0045, section 7.2.13).
--
-- mod_muc shortens the history to the length that an owner has set, and does not come to an end below zero: the whole
-- server would hang with the next message. mod_muc_mam hands the number on, and to SQLite a negative limit is none:
-- whoever enters could have the whole archive sent. The upper bound is `max_history_messages`.
--
-- Messages may be long, so bytes count as well: `sippo_page_bytes` (default 256 KiB) are sent, and
-- `sippo_history_bytes` (default 64 KiB) kept for each room; what is asked for beyond comes from the archive.

module:depends "muc";

local pages = module:require "sippo_archive_pages";
local size_of = module:require "sippo_stanza_size";

local page_bytes = module:get_option_number("sippo_page_bytes", 256 * 1024);
local kept_bytes = module:get_option_number("sippo_history_bytes", 64 * 1024);

local function mend(event)
	local data = event.room._data;
	if data.history_length and data.history_length < 0 then data.history_length = 0; end
end

-- After mod_muc (0) has taken the value
module:hook("muc-config-submitted/muc#roomconfig_historylength", mend, -1);
module:hook("muc-room-restored", mend); -- set before this module was there

-- Before mod_muc_mam (1)
module:hook("muc-get-history", function (event)
	if event.maxstanzas then event.maxstanzas = math.max(0, math.floor(event.maxstanzas)); end
	event.maxchars = math.min(event.maxchars or math.huge, page_bytes);
end, 2);

pages.bound("muc_log");

module:wrap_event("muc-get-history", function (handlers, name, event)
	local _, result = pages.read(page_bytes, handlers, name, event);
	return result;
end);

--- Takes the oldest off until the others are short enough.
local function shorten(history)
	local bytes = 0;
	for index = #history, 1, -1 do
		local entry = history[index];
		entry.sippo_bytes = entry.sippo_bytes or size_of(entry.stanza);
		bytes = bytes + entry.sippo_bytes;
		if bytes > kept_bytes then
			for _ = 1, index do table.remove(history, 1); end
			return;
		end
	end
end

module:wrap_event("muc-add-history", function (handlers, name, event)
	local result = handlers(name, event);
	if event.room._history then shorten(event.room._history); end
	return result;
end);
