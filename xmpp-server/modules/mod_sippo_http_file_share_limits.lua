--- What a user may ask mod_http_file_share for (XEP-0363): slots whose metadata are sound, and so many a day.
--
--   * Name, size and content type of a slot come back as a URL and as headers to whoever fetches the file.
--   * The daily quota is in bytes; slots for empty files, and slots that nobody fills, are rows in a store all the
--     same. `sippo_upload_daily_slots` (default 1000) is how many one user gets in 24 hours.
--   * An upload says how long it is: mod_http_file_share looks at the length of one that comes in chunks only when all
--     of it is on the disk.

local st = require "util.stanza";
local jid_bare = require "util.jid".bare;
local server = require "net.http.server";

local metadata = module:require "sippo_upload_metadata";

module:depends "http_file_share";

local daily_slots = module:get_option_number("sippo_upload_daily_slots", 1000);
local uploads = module:open_store("uploads", "archive");
local base = module:get_option("http_paths").file_share:gsub("%$host", module.host).."/";

local function slots_today(uploader)
	local found, total = uploads:find(nil, { with = uploader, start = os.time() - 86400, limit = 0, total = true });
	return found and total or math.huge;
end

module:hook("iq-get/host/urn:xmpp:http:upload:0:request", function (event)
	local origin, stanza = event.origin, event.stanza;
	local problem = metadata.problem(stanza.tags[1].attr);
	if problem then
		origin.send(st.error_reply(stanza, "modify", "bad-request", problem));
		return true;
	elseif slots_today(jid_bare(stanza.attr.from)) >= daily_slots then
		origin.send(st.error_reply(stanza, "wait", "resource-constraint",
			"You have had as many upload slots as you may have in a day: try again later"));
		return true;
	end
end, 10);

module:hook_object_event(server, "PUT "..base.."*", function (event)
	local headers = event.request.headers;
	if headers.transfer_encoding or not (headers.content_length or ""):match("^%d+$") then
		local response = event.response;
		response.persistent, response.headers.connection = false, "close"; -- where the body ends is not known for sure
		return 411;
	end
end, 20);
