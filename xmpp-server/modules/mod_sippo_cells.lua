--- Server-to-server (RFC 6120) between cells, and with nobody else.
--
-- Tenants are on several XMPP servers, the cells, and a room's member may be another cell's user. Cells speak with
-- each other over TLS from the first byte (XEP-0368's port, no STARTTLS), each with a certificate of one private
-- authority, by SASL EXTERNAL: no dialback, and no look-up of a tenant's domain in the DNS.
--
--   * A certificate names its cell (see sippo_routes), not the tenants, which come and go. Which tenants that cell may
--     speak for is what the service has said: a stream from any other domain is refused, whoever opens it.
--   * A stanza to a tenant on another cell goes where SIPPO_XMPP_CELLS has that cell. To a domain that is nowhere it
--     comes back as remote-server-not-found.
--   * Streams end when the service says that their tenant is somewhere else now; what was not acknowledged is sent
--     there (mod_smacks).
--
-- Certificates are read again with the configuration.

module:set_global();

local certmanager = require "core.certmanager";
local get_active_services = require "core.portmanager".get_active_services;
local retire_session = require "core.s2smanager".retire_session;
local basic = require "net.resolvers.basic";
local service = require "net.resolvers.service";
local get_identities = require "util.x509".get_identities;
local st = require "util.stanza";

local cells = module:require "sippo_routes";
local compat = module:require "sippo_compat";
local hook_global = module:require "sippo_global_hook";
local size_of = module:require "sippo_stanza_size";

local hosts = prosody.hosts;

-- TLS ------------------------------------------------------------------------------

local context; -- of connections to others

local function load_certificates()
	local options = module:get_option("s2s_direct_tls_ssl");
	local client, err = certmanager.create_context("cells port 0", "client", options);
	if not client then error("the cell's certificate: "..err); end
	context = client;
	for _, _, _, _, listening in get_active_services():iter("s2s_direct_tls", nil, nil, nil) do
		local server, problem = certmanager.create_context("cells port 0", "server", options);
		if not server then error("the cell's certificate: "..problem); end
		listening.server.tls_ctx = server;
	end
end

load_certificates();
hook_global("config-reloaded", load_certificates, -1);

-- Who it is ------------------------------------------------------------------------------

--- Whether the certificate on a connection is one of ours that names `cell`.
local function is_of(cell, certificate, socket)
	if not cell or not certificate or not socket:getpeerverification() then return false; end
	return get_identities(certificate)[cells.host_of(cell)] ~= nil;
end

module:hook("s2s-check-certificate", function (event)
	local session, host = event.session, event.host;
	local is_known = is_of(host and cells.cell_of(host), event.cert, session.conn:socket());
	session.cert_chain_status = is_known and "valid" or "invalid";
	session.cert_identity_status = session.cert_chain_status;
	if is_known then return; end
	module:log("warn", "%s, who %s, is refused as the cell of %s: the certificate is none of that cell's, or nobody has "
		.."said where the domain is", session.conn:ip(), session.direction == "incoming" and "connected" or "answered",
		host or "no domain");
	session:close({ condition = "not-authorized", text = "You are not known here to be the cell of that domain" });
	return false;
end, 1000);

-- Where to ---------------------------------------------------------------------------------

local nowhere = { last_error = "nobody has said on which cell the domain is" };
function nowhere:next(callback) -- luacheck: ignore 212/self
	callback(nil);
end

local function resolver_of(host)
	local cell = cells.cells[cells.cell_of(host)];
	if not cell then return nowhere; end
	return basic.new(cell.host, cell.port, "tcp", { sslctx = context });
end

if not compat.has_pre_connect then
	local new = service.new;
	function service.new(host, name, ...)
		if name ~= "xmpp-server" and name ~= "xmpps-server" then return new(host, name, ...); end
		return resolver_of(host);
	end
	function module.unload() service.new = new; end
end

-- Hosts that are being unloaded: stock Prosody fails at a stream whose host is gone. So what they have to say goes over
-- the streams that there are, and one that is not established yet is forgotten.
local going = {}; -- [name] = the host

hook_global("host-deactivating", function (event) going[event.host] = event.host_session; end);

hook_global("host-deactivated", function (host)
	for _, session in pairs(going[host] and going[host].s2sout or {}) do
		if not session.destroyed then retire_session(session, "host-gone"); end
	end
	going[host] = nil;
end);

local answers = { error = true, result = true };

-- A stanza that the other cell refuses to read ends the stream, and comes again over the next one.
local largest = module:get_option_number("s2s_stanza_size_limit", 512 * 1024) - 16 * 1024;
local surely_small = largest / 20; -- of names and texts alone, whatever is written between them

local function is_too_large(stanza)
	return size_of(stanza) > surely_small and #tostring(stanza) > largest;
end

function module.add_host(module)
	if compat.has_pre_connect then
		module:hook("s2sout-pre-connect", function (event) event.resolver = resolver_of(event.session.to_host); end, 1000);
	end
	-- Behind what goes over the streams there are (-1), before another is opened (-10)
	module:hook("route/remote", function () return going[module.host] and true or nil; end, -5);

	-- Before mod_s2s (-1) makes anything of it
	module:hook("route/remote", function (event)
		local stanza = event.stanza;
		local is_known = cells.cell_of(event.to_host);
		if is_known and not is_too_large(stanza) then return nil; end
		if answers[stanza.attr.type] then return true; end
		local reply = is_known and st.error_reply(stanza, "modify", "policy-violation", "It is too large for another server")
			or st.error_reply(stanza, "cancel", "remote-server-not-found", "Nobody has said where this domain is");
		if event.origin.type == "c2s" then
			event.origin.send(reply);
		else
			prosody.core_route_stanza(hosts[event.from_host], reply);
		end
		return true;
	end, 10);
end

-- Moves ----------------------------------------------------------------------------------------

local sessions = module:shared "/*/s2s/sessions";

hook_global("sippo-routes-changed", function (event)
	local changed = {};
	for _, domain in ipairs(event.domains) do changed[domain], changed["conference."..domain] = true, true; end
	local ending = {};
	for _, session in pairs(sessions) do
		local other = session.direction == "outgoing" and session.to_host or session.from_host;
		if changed[other] then ending[#ending + 1] = session; end
	end
	for _, session in ipairs(ending) do
		session:close({ condition = "reset", text = "The domain is on another cell now" });
	end
end);
