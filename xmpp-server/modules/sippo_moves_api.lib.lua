--- The hosts API's resources of a tenant that goes from server to server (part of mod_quobis_virtualhosts).
--
-- Below /quobis_virtualhosts/move/a.example:
--
--   GET    200 {"state":"served", …}: how it is with it here
--   PUT    {"move":1,"state":"frozen"}: 200 and the same when it is so; 202 as long as it goes on: send it again; 409
--          when it cannot be, and why
--   GET    …/page?after=C&rows=N    200 the records behind the cursor, as they are
--   POST   …/page?move=M            such a page: 200 {"cursor":"C"}, or 409 if another one is due
--   GET    …/count?after=C&rows=N   200 {"next":"C","rows":…}: sums of the records there
--
-- The states are those of sippo_moves, cursors and pages those of sippo_move_pages.

local formdecode = require "util.http".formdecode;
local json = require "util.json";
local now = require "util.time".monotonic;

local pages = module:require "sippo_move_pages";

local max_page = 2 * 1024 * 1024; -- one record may be longer than a page should be
local most_rows = 2000;

local moves; -- of sippo_moves
local hosts; -- of sippo_hosts
local answer, refuse; -- of mod_quobis_virtualhosts

local function names_of(domain) return { domain, hosts.component_of(domain) }; end

local function query_of(event)
	local query = event.request.url.query;
	local form = query and formdecode(query);
	return type(form) == "table" and form or {};
end

local function state(event, domain, status)
	local found = moves.state(domain);
	found.entry = found.entry or json.null;
	found.last = pages.last_cursor;
	return answer(event, status or 200, found);
end

local function change(event, domain)
	local ok, wanted = pcall(json.decode, event.request.body or "");
	if not ok or type(wanted) ~= "table" or math.type(wanted.move) ~= "integer" then
		return refuse(event, 400, "Body is no change: send {\"move\":1,\"state\":\"…\"}");
	end
	if type(wanted.entry) ~= "table" then wanted.entry = nil; end
	if type(wanted.uploads) ~= "string" then wanted.uploads = nil; end
	local done, problem, status = moves.change(domain, wanted);
	if done == nil then
		if not status then module:log("error", "Host %s could not be %s: %s", domain, tostring(wanted.state), problem); end
		return refuse(event, status or 500, problem);
	end
	return state(event, domain, done and 200 or 202);
end

local function rows_of(form) return math.max(1, math.min(most_rows, math.floor(tonumber(form.rows) or 200))); end

--- Whether there is something to read that nobody writes.
local function at_rest(event, domain)
	local entry = hosts.entry(domain) or {};
	if entry.frozen or entry.incoming then return true; end
	return nil, refuse(event, 409, "The host does not move: it is neither frozen nor incoming");
end

local function read_page(event, domain)
	local ok, refused = at_rest(event, domain);
	if not ok then return refused; end
	local form = query_of(event);
	local page, problem, status = pages.read(names_of(domain), form.after or "", rows_of(form));
	if not page then return refuse(event, status, problem); end
	event.response.headers.content_type = "application/octet-stream";
	event.response.headers.cache_control = "no-store";
	event.response:send(page);
	return true;
end

local api = {};

--- Has the server take a page, which is longer than other requests' bodies may be; nil if it is too long.
function api.collect(event)
	local request = event.request;
	local length = tonumber(request.headers.content_length);
	if not length or length > max_page then return nil; end
	local pieces = {};
	request.body_sink = {
		write = function (_, data) pieces[#pieces + 1] = data; return true; end,
		all = function () return table.concat(pieces); end,
	};
	return true;
end

local function write_page(event, domain)
	local request = event.request;
	local entry = hosts.entry(domain) or {};
	if not entry.incoming or entry.incoming ~= tonumber(query_of(event).move) then
		return refuse(event, 409, "This move does not bring the host here: ask where it is");
	end
	local page = request.body_sink and request.body_sink.all() or request.body or "";
	local began = now();
	local cursor, problem, status = pages.write(names_of(domain), entry.cursor, page, function (following)
		entry.cursor = following;
		return hosts.store:set(domain, entry);
	end);
	if not cursor then return refuse(event, status, problem); end
	return answer(event, 200, { cursor = cursor, seconds = now() - began });
end

local function count(event, domain)
	local ok, refused = at_rest(event, domain);
	if not ok then return refused; end
	local form = query_of(event);
	local sums, problem, status = pages.count(names_of(domain), form.after or "", rows_of(form));
	if not sums then return refuse(event, status, problem); end
	return answer(event, 200, sums);
end

local resources = {
	[""] = { GET = function (event, domain) return state(event, domain); end, PUT = change },
	page = { GET = read_page, POST = write_page },
	count = { GET = count },
};

--- Answers a request about a tenant's move.
-- @param domain  in its canonical form
function api.answer(event, domain, what)
	local resource = resources[what];
	if not resource then
		return refuse(event, 404, "No such path: use …/move/a.example, …/page or …/count");
	end
	local handler = resource[event.request.method];
	if handler then return handler(event, domain); end
	local allowed = {};
	for method in pairs(resource) do allowed[#allowed + 1] = method; end
	table.sort(allowed);
	event.response.headers.allow = table.concat(allowed, ", ");
	return refuse(event, 405, "Method does not fit this path: use "..event.response.headers.allow);
end

--- @param how_to_answer, how_to_refuse  functions of mod_quobis_virtualhosts
return function (of_moves, of_hosts, how_to_answer, how_to_refuse)
	moves, hosts, answer, refuse = of_moves, of_hosts, how_to_answer, how_to_refuse;
	moves.last_cursor = pages.last_cursor;
	return api;
end
