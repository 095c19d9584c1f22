--- HTTPS serves whatever name a client calls it by, with the certificate that has the name.
--
-- Routes belong to no HTTP host (`http_host = "*"`), so Prosody offers its certificate under the name `*`, and refuses
-- every client that sends a server name (RFC 6066, section 3). Here a name gets the certificate that has it (of
-- `sippo_https_certificates`, a list of { certificate, key }), also by a wildcard; any other name, and none, the first.
-- All are read again with the configuration; Prosody 0.12 would keep the first as it was.

module:set_global();

local certmanager = require "core.certmanager";
local get_active_services = require "core.portmanager".get_active_services;
local to_ascii = require "util.encodings".idna.to_ascii;
local get_identities = require "util.x509".get_identities;
local ssl = require "ssl";

local compat = module:require "sippo_compat";
local hook_global = module:require "sippo_global_hook";

local function names_of(path)
	local file = assert(io.open(path));
	local certificate = assert(ssl.loadcertificate(file:read("*a")));
	file:close();
	return get_identities(certificate);
end

--- The contexts of all certificates: the first one's, and each by the names of its certificate, in ASCII.
local function load_all()
	local first, by_name = nil, {};
	for _, pair in ipairs(module:get_option("sippo_https_certificates", {})) do
		local context, err = certmanager.create_context("HTTPS", "server", pair);
		if not context then error(("%s: %s"):format(pair.certificate, err)); end
		first = first or context;
		for name in pairs(names_of(pair.certificate)) do
			local wildcard, rest = name:match("^(%*%.)(.+)$");
			local ascii = to_ascii(rest or name);
			if ascii then
				local key = (wildcard or "")..ascii:lower();
				by_name[key] = by_name[key] or compat.raw_tls_context(context);
			end
		end
	end
	return first, by_name;
end

local function install()
	local first, by_name = load_all();
	if not first then return; end
	local function find(_, name)
		name = name:lower();
		return by_name[name] or by_name[name:gsub("^[^.]+", "*", 1)] or compat.raw_tls_context(first);
	end
	for _, _, _, _, service in get_active_services():iter("https", nil, nil, nil) do
		service.server.tls_ctx = first;
		local contexts = compat.sni_contexts(service.server);
		contexts["*"] = compat.raw_tls_context(first); -- or else net.server looks at no name
		setmetatable(contexts, { __index = find });
	end
	local count = 0;
	for _ in pairs(by_name) do count = count + 1; end
	module:log("info", "HTTPS serves %d names of its certificates, and any other with the first", count);
end

-- By a timer, outside of any coroutine: LuaSec looks names up in the Lua thread that has made the context, and one that
-- is suspended must not be used.
local function install_soon()
	module:add_timer(0, function ()
		local ok, err = xpcall(install, debug.traceback);
		if not ok then
			module:log("error", "The certificates of HTTPS could not be loaded, see SIPPO_XMPP_CERTIFICATE: %s", err);
		end
	end);
end

hook_global("server-started", install_soon); -- when the port is open
hook_global("config-reloaded", install_soon, -10); -- after Prosody's own
