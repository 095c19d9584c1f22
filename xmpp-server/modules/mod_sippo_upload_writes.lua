--- Of two requests that write the same upload (XEP-0363) the older ends (mod_http_file_share).
--
-- A client that has lost its network repeats the PUT while the server still waits for the rest of the first one. Both
-- write the same temporary file, and the end of the first, whenever that is noticed, would remove that of the second.

local server = require "net.http.server";

local status_of = module:require "sippo_compat".status_of;

local file_share = module:depends "http_file_share";

local base = module:get_option("http_paths").file_share:gsub("%$host", module.host).."/";
local writing = setmetatable({}, { __mode = "v" }); -- slot: the response to the request that writes it

--- Whether the request has the slot's token. mod_http_file_share keeps its secret; it looks at the length (413) after
-- the token, and before it touches a file.
local function has_token(request, path)
	local trial = { headers = { authorization = request.headers.authorization, content_length = "-1" } };
	return status_of(file_share.handle_upload({ request = trial, response = { headers = {} } }, path)) == 413;
end

module:hook_object_event(server, "PUT "..base.."*", function (event)
	local request = event.request;
	local path = request.path:sub(#base + 1);
	if request.body_sink or not has_token(request, path) then return; end -- with a sink its body has just ended
	local slot = path:match("^[^/]+");
	local older = writing[slot];
	if older and older.on_destroy and not older.finished then
		older:on_destroy(); -- now: a connection with something left to send closes later
		older.conn:close();
	end
	writing[slot] = event.response;
end, 10);

module:hook("sippo-in-use", function ()
	for _, response in pairs(writing) do -- when the body has come, there is another
		if response.conn and response.conn._http_open_response == response then return true; end
	end
end);
