--- Numbers below zero in what is asked of a room's history (XEP-0045, section 7.2.13 and the room's configuration).
--
-- mod_muc shortens the history to the length that an owner has set, and does not come to an end below zero: the whole
-- server would hang with the next message. mod_muc_mam hands the number on, and to SQLite a negative limit is none:
-- whoever enters could have the whole archive sent. The upper bound is `max_history_messages`.

module:depends "muc";

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
end, 2);
