--- Downloads of what was uploaded (XEP-0363), instead of those of mod_http_file_share.
--
-- That one sends as headers whatever a slot's request said, takes only some ranges (Apple's players ask for `bytes=0-1`
-- first, and play nothing without a 206), and counts their last position one too high. This one looks at a slot again,
-- so that one which was stored without a check (see mod_sippo_http_file_share_limits) does no harm, and takes every
-- single range (RFC 9110, section 14). A file never changes, so its slot is its entity tag.

local server = require "net.http.server";
local urlencode = require "util.http".urlencode;
local datamanager = require "core.storagemanager".olddm;
local new_cache = require "util.cache".new;

local metadata = module:require "sippo_upload_metadata";
local byte_range = module:require "sippo_byte_range";

module:depends "http_file_share";

local uploads = module:open_store("uploads", "archive");
local base = module:get_option("http_paths").file_share:gsub("%$host", module.host).."/";
local safe_types = module:get_option_set("http_file_share_safe_file_types",
	{ "image/*", "video/*", "audio/*", "text/plain" });

local slots = new_cache(1024); -- id: what is known of a slot whose metadata are sound

local function slot_of(id)
	local slot = slots:get(id);
	if slot then return slot; end
	local request, when = uploads:get(nil, id);
	if not request or metadata.problem(request.attr) then return nil; end
	slot = {
		name = request.attr.filename,
		type = request.attr["content-type"] or "application/octet-stream",
		modified = os.date("!%a, %d %b %Y %H:%M:%S GMT", math.floor(when)),
		tag = '"'..id..'"',
	};
	slots:set(id, slot);
	return slot;
end

--- Whether a browser may show it: then without scripts, by the policy below.
local function is_safe(media_type)
	local essence = media_type:match("^[^;%s]+"):lower();
	return safe_types:contains(essence) or safe_types:contains((essence:gsub("/.*", "/*")));
end

--- Whether a list of entity tags (RFC 9110, section 13.1.2) has `tag`, or all there are.
local function has_tag(list, tag)
	return list:match("^%s*%*%s*$") or list:find(tag, 1, true);
end

--- Whether the client has it already.
local function is_known(headers, slot)
	if headers.if_none_match then return has_tag(headers.if_none_match, slot.tag); end
	return headers.if_modified_since == slot.modified;
end

--- Whether a range is asked for, and of this very file (RFC 9110, section 13.1.5).
local function wants_range(request, slot)
	local condition = request.headers.if_range;
	return request.method == "GET" and request.headers.range
		and (not condition or condition == slot.tag or condition == slot.modified);
end

--- A file as `send_file` reads it, that ends after `left` bytes.
local function part(file, left)
	return {
		read = function (_, size)
			local chunk = left > 0 and file:read(math.min(size, left)) or nil;
			left = left - (chunk and #chunk or 0);
			return chunk;
		end,
		close = function () return file:close(); end,
	};
end

local function describe(headers, slot)
	headers.etag, headers.last_modified = slot.tag, slot.modified;
	headers.cache_control = "max-age=31556952, immutable";
end

local function protect(headers)
	headers.content_security_policy = "default-src 'none'; frame-ancestors 'none';";
	headers.strict_transport_security = "max-age=31556952";
	headers.x_content_type_options = "nosniff";
	headers.x_frame_options = "DENY";
end

local function send(event, slot, file)
	local request, response = event.request, event.response;
	local headers, length = response.headers, file:seek("end");
	headers.accept_ranges = "bytes";
	protect(headers);
	local first, last = 0, length - 1;
	if wants_range(request, slot) then
		local from, to = byte_range(request.headers.range, length);
		if from == false then
			file:close();
			headers.content_range = ("bytes */%d"):format(length);
			return 416;
		elseif from then
			first, last = from, to;
			response.status_code = 206;
			headers.content_range = ("bytes %d-%d/%d"):format(first, last, length);
		end
	end
	describe(headers, slot);
	headers.content_length = ("%d"):format(last - first + 1);
	headers.content_type = slot.type;
	headers.content_disposition = ("%s; filename*=UTF-8''%s"):format(is_safe(slot.type) and "inline" or "attachment",
		urlencode(slot.name));
	file:seek("set", first);
	return response:send_file(part(file, last - first + 1));
end

-- After mod_http has added the headers for other origins (1), before mod_http_file_share (0)
module:hook_object_event(server, "GET "..base.."*", function (event)
	local id = event.request.path:sub(#base + 1):match("^[^/]+");
	-- mod_http names the page that asks, and caches would give that to others for as long as they keep the file.
	event.response.headers.access_control_allow_origin = "*";
	if not id then return nil; end
	local slot = slot_of(id);
	if not slot then return 404; end
	local file = io.open(datamanager.getpath(id, module.host, "http_file_share", "bin"));
	if not file then return 410; end -- not uploaded yet, or deleted
	if is_known(event.request.headers, slot) then
		file:close();
		describe(event.response.headers, slot);
		return 304;
	end
	return send(event, slot, file);
end, 0.5);
