--- A date (XEP-0082) that no clock can tell is none.
--
-- util.datetime hands what it has matched on to `os.time`, which throws at what the C library cannot tell, a second
-- before 1970 for one. An archive query (XEP-0313) or a room's history (XEP-0045) from such a date on had no answer.
-- Load it globally.

module:set_global();

local datetime = require "util.datetime";

local parse = datetime.parse;

function datetime.parse(text)
	local ok, time = pcall(parse, text);
	return ok and time or nil;
end

function module.unload()
	datetime.parse = parse;
end
