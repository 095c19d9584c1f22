--- Tenants at run time: virtual hosts with their room component, over HTTP.
--
--   GET    /quobis_virtualhosts/virtualhost             200 [{"domain":"a.example"}, …]
--   POST   /quobis_virtualhosts/virtualhost             {"domain":"a.example"}: 201, or 200 when it is there already
--   DELETE /quobis_virtualhosts/virtualhost/a.example   204, or 404 when it is not
--          …/a.example?ended=E                          the same, but a host whose life is newer than E stays
--   PUT    /quobis_virtualhosts/routes/eu-2             {"domains":["b.example", …]}: these are on the cell eu-2 now,
--                                                       or nowhere else, if that is this one; 204
--   GET    /quobis_virtualhosts/routes                  200 {"b.example":"eu-2", …}
--   GET    /quobis_virtualhosts/health                  200 {"status":"ok","problems":[]}, or 503 and what is wrong
--          /quobis_virtualhosts/move/a.example…         a tenant that goes to another server (see sippo_moves_api)
--
-- With POST may come `"life":"L"`, the life of a host that is made by it (see sippo_lives).
--
-- A tenant is loaded by the first thing that addresses it (see sippo_dormant_hosts).
--
-- Each call needs `Authorization: Bearer <admin token>`. Load it on the admin's host, whose storage keeps the list.

local array = require "util.array"; -- so that an empty list is [] in JSON
local encodings = require "util.encodings";
local formdecode, urldecode = require "util.http".formdecode, require "util.http".urldecode;
local json = require "util.json";

local admin_token = module:require "sippo_admin_token";
local canonical_domain = module:require "sippo_domain".canonical;
local hook_global = module:require "sippo_global_hook";
local hosts = module:require "sippo_hosts";
local lives = module:require "sippo_lives";
local cells = module:require "sippo_routes";
local route_store = module:require "sippo_route_store";

local max_body = 4096;
local max_domain = 253 - #hosts.component_of(""); -- RFC 1035, section 2.3.4, for the component's name

if #admin_token.accepted(module) == 0 then
	error("sippo_admin_token is not set or unfit: set SIPPO_XMPP_ADMIN_TOKEN");
end

local function answer(event, status, body)
	event.response.status_code = status;
	event.response.headers.content_type = "application/json";
	event.response.headers.cache_control = "no-store";
	event.response:send(body and json.encode(body) or "");
	return true;
end

local function refuse(event, status, message)
	return answer(event, status, { error = message });
end

--- The canonical form of a domain that may be a tenant, or nil and what is wrong with it.
local function tenant_name(given)
	local name, ascii;
	if type(given) == "string" then name, ascii = canonical_domain(given); end
	if not ascii or #ascii > max_domain or name:find("[/@%s]") then
		return nil, "Not a domain name: give one like a.example, at most "..max_domain.." bytes long";
	end
	for label in (ascii.."."):gmatch("(.-)%.") do
		if #label > 63 or not label:match("^%w[%w-]*$") or label:match("-$") then
			return nil, "Not a domain name: labels are letters, digits and inner hyphens, at most 63 of them";
		end
	end
	if ("."..ascii):match("%.%d+$") then
		return nil, "Not a domain name: an IP address cannot be a tenant";
	end
	if hosts.is_component_name(name) then
		return nil, "Names that begin with conference. belong to rooms: give the tenant's own domain";
	end
	if cells.is_cells_name(name) then
		return nil, "Names that end in sippo-cells.internal are the XMPP servers' own: give the tenant's own domain";
	end
	return name;
end

local function list(event)
	local domains = array();
	for _, domain in ipairs(hosts.list()) do domains:push({ domain = domain }); end
	return answer(event, 200, domains);
end

local no_life = "Not a life: give %s as epoch.counter/id, or leave it out";

local function is_life(given)
	return type(given) == "string" and lives.parse(given) ~= nil;
end

--- What the query says of `ended`: nil if nothing.
local function ended_of(event)
	local query = event.request.url.query;
	local form = query and formdecode(query);
	return type(form) == "table" and form.ended or nil;
end

local moving = "The host moves to another server, or has moved: ask the one that it is on by now";

local function create(event)
	local body = event.request.body or "";
	if #body > max_body then
		return refuse(event, 400, "Body is too long: send only {\"domain\":\"a.example\"}");
	end
	local ok, request = pcall(json.decode, body);
	if not ok or type(request) ~= "table" then
		return refuse(event, 400, "Body is no JSON object: send {\"domain\":\"a.example\"}");
	end
	local domain, problem = tenant_name(request.domain);
	if not domain then return refuse(event, 400, problem); end
	if request.life ~= nil and not is_life(request.life) then return refuse(event, 400, no_life:format("life")); end
	local kind = hosts.kind(domain);
	if kind == "dynamic" or kind == "static" then
		return answer(event, 200, { domain = domain });
	elseif kind == "reserved" then
		return refuse(event, 409, "The name is taken by the server itself: choose another domain");
	elseif kind == "moving" then
		return refuse(event, 409, moving);
	end
	local created, err = hosts.create(domain, request.life);
	if not created then
		module:log("error", "Host %s could not be created: %s", domain, err);
		return refuse(event, 500, "The host could not be created: see the XMPP server's log, then try again");
	end
	return answer(event, 201, { domain = domain });
end

--- A host that was made before names were canonical, by its name as it is.
local function outdated_host(given)
	local name = encodings.stringprep.nameprep(given);
	local kind = name and name ~= canonical_domain(name) and hosts.kind(name);
	return (kind == "dynamic" or kind == "broken") and name or nil;
end

local function delete(event, given)
	local domain, problem = tenant_name(given);
	domain = outdated_host(given) or domain;
	if not domain then return refuse(event, 400, problem); end
	local ended = ended_of(event);
	if ended and not is_life(ended) then return refuse(event, 400, no_life:format("ended")); end
	local kind = hosts.kind(domain);
	if not kind then
		return refuse(event, 404, "No such virtual host: GET the list to see those there are");
	elseif kind == "static" or kind == "reserved" then
		return refuse(event, 409, "The host is part of the server's configuration: take it out there");
	elseif kind == "moving" then
		return refuse(event, 409, moving);
	end
	local ok, err = hosts.delete(domain, ended);
	if not ok then
		module:log("error", "Host %s could not be deleted entirely: %s", domain, err);
		return refuse(event, 500, "The host is closed but not all its data is gone: try again, or restart the server");
	end
	if kind == "gone" then
		return refuse(event, 404, "No such virtual host: GET the list to see those there are");
	end
	return answer(event, 204);
end

local too_long = "Body is too long: send at most "..max_body.." bytes, the rest in further requests";

--- Takes in which domains are on the cell `name`.
local function set_routes(event, name)
	if not cells.has_cells then
		return refuse(event, 409, "This server knows no other cell: set SIPPO_XMPP_CELL and what goes with it");
	elseif not cells.cells[name] then
		return refuse(event, 409, "SIPPO_XMPP_CELLS does not name this cell: add it there");
	end
	local body = event.request.body or "";
	if #body > max_body then return refuse(event, 400, too_long); end
	local ok, request = pcall(json.decode, body);
	local domains = ok and type(request) == "table" and request.domains;
	if type(domains) ~= "table" then
		return refuse(event, 400, "Body is no list of domains: send {\"domains\":[\"b.example\"]}");
	end
	for _, given in ipairs(domains) do
		local domain, problem = tenant_name(given);
		if domain ~= given then return refuse(event, 400, problem or "Not as it is served: give "..domain); end
	end
	local stored, err = route_store.set(name, domains);
	if not stored then
		module:log("error", "Could not store which tenants are on %s: %s; see that the store works", name, err);
		return refuse(event, 500, "They could not be stored: see the XMPP server's log, then try again");
	end
	return answer(event, 204);
end

-- What a reload refuses leaves all as it was, the admin token included.
local reload_refused = false;
hook_global("reloading-config", function () reload_refused = true; end);
hook_global("config-reloaded", function () reload_refused = false; end, 2000);

local function health(event)
	local problems = array();
	if reload_refused then
		problems:push("The configuration was read again and refused, the old one goes on: "
			..(package.loaded["sippo.memory"].refusal or "see the XMPP server's log"));
	end
	problems:push(hosts.problem());
	local ok = #problems == 0;
	return answer(event, ok and 200 or 503, { status = ok and "ok" or "degraded", problems = problems });
end

module:shared("/*/sippo_cell_link/link").kind = hosts.kind;

local move = module:require "sippo_moves_api"(hosts.moves, hosts, answer, refuse);

local function is_authorised(request)
	local given = (request.headers.authorization or ""):match("^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)$");
	return given and admin_token.is_accepted(module, given);
end

local function dispatch(event, path) -- the path comes percent-decoded
	path = path or "";
	local request, headers = event.request, event.response.headers;
	if request.partial then -- a body that is longer than others may be, or of unknown length
		return request.method == "POST" and path:find("^move/[^/]+/page$") and is_authorised(request)
			and move.collect(event) or nil;
	end
	if not is_authorised(request) then
		module:log("warn", "Call of the hosts API without a valid admin token from %s", request.ip);
		headers.www_authenticate = "Bearer";
		return refuse(event, 401, "Admin token is missing or wrong: send Authorization: Bearer <adminToken>");
	end
	if path == "health" then
		if request.method == "GET" or request.method == "HEAD" then return health(event); end
		headers.allow = "GET, HEAD";
		return refuse(event, 405, "Method does not fit this path: use "..headers.allow);
	end
	local moved, what = path:match("^move/([^/]+)/?(.*)$");
	if moved then
		local domain, problem = tenant_name(moved);
		if not domain then return refuse(event, 400, problem); end
		return move.answer(event, domain, what);
	end
	local resource, item = path:match("^([^/]*)/?(.*)$");
	if resource == "routes" and not item:find("/", 1, true) then
		if item == "" and (request.method == "GET" or request.method == "HEAD") then
			return answer(event, 200, route_store.all());
		elseif item ~= "" and request.method == "PUT" then
			return set_routes(event, item);
		end
		headers.allow = item == "" and "GET, HEAD" or "PUT";
		return refuse(event, 405, "Method does not fit this path: use "..headers.allow);
	end
	if resource ~= "virtualhost" or item:find("/", 1, true) then
		return refuse(event, 404, "No such path: use /quobis_virtualhosts/virtualhost, …/routes or …/health");
	elseif item ~= "" then
		if request.method == "DELETE" then return delete(event, item); end
		headers.allow = "DELETE";
	else
		if request.method == "GET" or request.method == "HEAD" then return list(event); end
		if request.method == "POST" then return create(event); end
		headers.allow = "GET, HEAD, POST";
	end
	return refuse(event, 405, "Method does not fit this path: use "..headers.allow);
end

local route = {};
for _, method in ipairs { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" } do
	route[method.." /*"] = dispatch;
	route[method] = function (event) return dispatch(event); end; -- or else mod_http redirects
end
module:depends "http";
module:provides("http", { name = "quobis_virtualhosts", default_path = "/quobis_virtualhosts", route = route,
	streaming_uploads = true });

-- Uploads of tenants that sleep, or have moved. A tenant's own handlers, whose path is longer, come first.
local http = require "net.http.server";
for _, method in ipairs { "GET", "HEAD", "PUT", "OPTIONS" } do
	module:hook_object_event(http, method.." /file_share/*", function (event)
		local path = event.request.path:match("[^?]*");
		local domain, rest = path:match("^/file_share/([^/]+)(/.*)$");
		if not domain then return nil; end
		if hosts.wake(urldecode(domain)) then return http.fire_event(event.request.method.." "..path, event); end
		local location = not event.request.partial and hosts.moves.redirect(urldecode(domain), rest);
		if not location then return nil; end
		local headers = event.response.headers;
		headers.location, headers.access_control_allow_origin, headers.cache_control = location, "*", "no-cache";
		return 307;
	end);
end

-- What a tenant has stored ends with its time, whether anybody uses the tenant or not.
module:daily("Load tenants with something that is too old", hosts.wake_for_expiry);

hook_global("server-started", hosts.replay); -- after the configuration's own hosts
hook_global("config-reloaded", hosts.replay, 1000); -- the reload took the options of run-time hosts away
if prosody.start_time then hosts.replay(); end

hook_global("server-stopping", hosts.stop_waking, 1000); -- before hosts look for each other for the last time
module.unload = hosts.stop_waking;
