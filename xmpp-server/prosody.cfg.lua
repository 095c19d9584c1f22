-- Prosody for sippo-xmpp. Everything that differs between installations comes from the environment; README.md of this
-- folder lists the variables. What is wrong with them stops Prosody here, with the variable's name.

-- Prosody 13 has what is Lua's in `Lua`, and warns of it elsewhere; 0.12 has it as everywhere.
local Lua = Lua or _G;
local error, io, ipairs, math, os, package, prosody, require, string, tonumber =
	Lua.error, Lua.io, Lua.ipairs, Lua.math, Lua.os, Lua.package, Lua.prosody, Lua.require, Lua.string, Lua.tonumber;

local lfs = require "lfs";
local nameprep = require "util.encodings".stringprep.nameprep;

local admin_token = RunScript "modules/sippo_admin_token.lib.lua";
local canonical_domain = RunScript "modules/sippo_domain.lib.lua".canonical;
local environment = RunScript "modules/sippo_environment.lib.lua";

-- What outlives this run of the file: the hosts API tells why a reload was refused, and relative paths begin where
-- Prosody was started, which goes to the data folder.
local memory = package.loaded["sippo.memory"] or { start_folder = lfs.currentdir() };
package.loaded["sippo.memory"] = memory;
local starting = prosody.process_type == "prosody" and not prosody.start_time;

local function mend(...)
	memory.refusal = string.format(...);
	error(memory.refusal, 0);
end

local function check(problem)
	if problem then mend("%s", problem); end
end

-- Before the log is there: a line like those that it will have.
local function say(text)
	io.stdout:write(os.date("%Y-%m-%dT%H:%M:%S"), " config\twarn\t", text, "\n");
	io.stdout:flush();
end

local names = {}; -- of all variables that there are

local function env(name, default)
	names[name] = true;
	local value = os.getenv("SIPPO_XMPP_"..name);
	if value == nil or value == "" then return default; end
	return value;
end

local function number(name, default, min, max)
	local value = env(name);
	if not value then return default; end
	local n = value:match("^%d+$") and math.tointeger(tonumber(value));
	if not n or n < min or n > max then
		mend("SIPPO_XMPP_%s is not a whole number from %d to %d: set it to one", name, min, max);
	end
	return n;
end

local function list(name, default)
	local items = {};
	for item in env(name, default):gmatch("[^,%s]+") do items[#items + 1] = item; end
	return items;
end

local function absolute(path)
	return path:match("^/") and path or memory.start_folder.."/"..path;
end

local no_such_file = 2; -- ENOENT

-- A secret stands in NAME or in the file that NAME_FILE names. An optional one's file may be missing, or empty.
local function secret(name, optional)
	local path, value = env(name.."_FILE"), env(name);
	if not path then return value, name; end
	if value then
		mend("SIPPO_XMPP_%s and SIPPO_XMPP_%s_FILE are both set: unset one of them", name, name);
	end
	local file, err, code = io.open(absolute(path));
	if not file and optional and code == no_such_file then return nil; end
	if not file then
		mend("SIPPO_XMPP_%s_FILE cannot be read (%s): make it readable for Prosody's user", name, err);
	end
	local text = file:read("*a");
	file:close();
	return (text:gsub("[\r\n]+$", "")), name.."_FILE";
end

local function token(name, optional)
	local value, variable = secret(name, optional);
	if optional and (value or "") == "" then return nil; end
	local problem = admin_token.problem(value);
	if problem then
		mend("SIPPO_XMPP_%s %s: set it to the service's adminToken, 32 to 512 random printable ASCII characters",
			variable, problem);
	end
	return value;
end

--- Files that a variable names, separated by commas.
local function paths(name)
	local found = {};
	for path in env(name, ""):gmatch("[^,]+") do found[#found + 1] = absolute(path:match("^%s*(.-)%s*$")); end
	return found;
end

--- The domain, if it is spelt as it is served.
local function domain(variable, name)
	local canonical = canonical_domain(name);
	if not canonical or canonical ~= nameprep(name) then
		mend("SIPPO_XMPP_%s names the domain %s, which %s", variable, name,
			canonical and "is served as "..canonical..": set it to that" or "is none: set it to one like a.example");
	end
	return name;
end

-- The platform's admin

sippo_admin_token = token("ADMIN_TOKEN");
sippo_admin_token_previous = token("ADMIN_TOKEN_PREVIOUS", true);
local admin_jid = env("ADMIN_JID", "sippo@sippo-admin.internal");
local admin_host = admin_jid:match("^[^@/%s]+@([^@/%s]+)$");
if not admin_host then
	mend("SIPPO_XMPP_ADMIN_JID is no bare JID: set it to something like sippo@sippo-admin.internal");
end
domain("ADMIN_JID", admin_host);
sippo_admin_jid, admins = admin_jid, { admin_jid };

-- Process

local our_modules = absolute(prosody.paths.config or ".").."/modules";
plugin_paths = { our_modules };
local data = env("DATA") and absolute(env("DATA"));
data_path = data;
certificates = data; -- looked through at start; ours are named below
run_as_root = env("RUN_AS_ROOT") == "1";
check(starting and environment.root(env("RUN_AS_ROOT") == "1"));
check(starting and data and environment.folder(data));
-- Lua's own pace. Prosody's (105) saves some memory and spends two thirds of the processor's time on collecting.
gc = { mode = "incremental", threshold = 200, speed = 500 };
local log_level = env("LOG_LEVEL", "info");
if not ({ debug = true, info = true, warn = true, error = true })[log_level] then
	mend("SIPPO_XMPP_LOG_LEVEL is none of debug, info, warn, error: set it to one of them");
end
sippo_log_debug = log_level == "debug";
log = { { to = "stdout", levels = { min = log_level }, timestamps = "%Y-%m-%dT%H:%M:%S" } };

-- Network: HTTP and WebSocket, and other cells if there are any

local interface = env("INTERFACE", "127.0.0.1");
local http_port = number("HTTP_PORT", 5280, 1, 65535);
local https_port = number("HTTPS_PORT", nil, 1, 65535);
http_interfaces, http_ports = { interface }, { http_port };
https_interfaces, https_ports = { interface }, { https_port };
if starting then
	if http_port == https_port then
		mend("SIPPO_XMPP_HTTPS_PORT and SIPPO_XMPP_HTTP_PORT are the same: set one of them to another port");
	end
	check(environment.port("HTTP_PORT", interface, http_port));
	check(https_port and environment.port("HTTPS_PORT", interface, https_port));
end
local certificates_of_https = {};
local files, keys = paths("CERTIFICATE"), paths("KEY");
if https_port then
	if #files == 0 or #files ~= #keys then
		mend("SIPPO_XMPP_HTTPS_PORT needs SIPPO_XMPP_CERTIFICATE and SIPPO_XMPP_KEY: set them to PEM files, as many of the "
			.."one as of the other, separated by commas");
	end
	for i, certificate in ipairs(files) do
		check(environment.certificate(certificate, keys[i]));
		certificates_of_https[i] = { certificate = certificate, key = keys[i] };
	end
	https_ssl = certificates_of_https[1];
end
sippo_https_certificates = certificates_of_https;
c2s_ports, c2s_direct_tls_ports, s2s_ports, component_ports = {}, {}, {}, {};

-- Other cells: server-to-server with them alone, from a port of its own (mod_sippo_cells)

local cell = env("CELL");
local cell_port, cell_interface = number("CELL_PORT", 5270, 1, 65535), env("CELL_INTERFACE", interface);
s2s_direct_tls_ports = cell and { cell_port } or {};
local of_cell = {};
for _, name in ipairs { "CELLS", "CELL_CERTIFICATE", "CELL_KEY", "CELL_AUTHORITY" } do
	of_cell[name] = env(name);
	if cell and not of_cell[name] then mend("SIPPO_XMPP_CELL needs SIPPO_XMPP_%s: set it, see README.md", name); end
end
if cell then
	local found, problem = environment.cells(of_cell.CELLS, cell);
	check(problem);
	local certificate, key = absolute(of_cell.CELL_CERTIFICATE), absolute(of_cell.CELL_KEY);
	local authority = absolute(of_cell.CELL_AUTHORITY);
	sippo_cell, sippo_cells = cell, found;
	check(starting and environment.port("CELL_PORT", cell_interface, cell_port));
	check(environment.certificate(certificate, key, "CELL_", authority));
	s2s_direct_tls_interfaces = { cell_interface };
	s2s_direct_tls_ssl = {
		certificate = certificate, key = key, cafile = authority,
		capath = false, -- no other authority counts
		verify = { "peer", "fail_if_no_peer_cert" },
		verifyext = { lsec_continue = false, lsec_ignore_purpose = false },
	};
	s2s_secure_auth, s2s_require_encryption = true, true;
	s2s_stanza_size_limit = 2 * 1024 * 1024; -- a client's 256 KiB, if each byte is written as six, and what rooms add
	smacks_s2s_resend = true; -- what the other one has not acknowledged goes over the next stream
end
trusted_proxies = list("TRUSTED_PROXIES", "127.0.0.1,::1");

-- TLS ends at the proxy in front of the plain port, so the server takes that port for secure: login tokens pass it.
consider_websocket_secure = true;

-- Routes belong to no HTTP host: proxies and clients may call this server by whatever name.
http_host = "*";
http_external_url = env("PUBLIC_HTTP_URL", ("http://%s:%d/"):format(interface, http_port));
http_paths = { file_share = "/file_share/$host" };
http_cors_override = {
	quobis_virtualhosts = { enabled = false },
	-- Whoever knows an upload's address may read it from any page; nothing depends on a browser's credentials.
	file_share = { enabled = true, credentials = false, headers = { Authorization = true, Range = true } },
};

-- A quiet connection gets a WebSocket ping in time before proxies drop it; one that does not log in ends.
network_settings = { read_timeout = number("KEEPALIVE", 45, 1, 840) };
c2s_timeout = 60;
c2s_close_timeout = 2; -- a client that does not answer holds up the server's end no longer than this and a second
limits = {
	c2s = { rate = env("CLIENT_RATE", "256kb/s"), burst = "4s" },
	-- A stream is all that a tenant's users and rooms say to another cell's tenant; mod_limits' own idea is 30 KB/s.
	s2sin = { rate = env("CELL_RATE", "4mb/s"), burst = "4s" },
};
unlimited_jids = { admin_jid };

-- Storage

local storage_setting = env("STORAGE", "sqlite");
local synchronous = env("SQLITE_SYNCHRONOUS", "full");
local storage_password = secret("STORAGE_PASSWORD");
default_storage = storage_setting == "internal" and "internal" or "sql";
if storage_setting == "sqlite" then
	sql = { driver = "SQLite3", database = "prosody.sqlite" };
	if synchronous ~= "full" and synchronous ~= "normal" then
		mend("SIPPO_XMPP_SQLITE_SYNCHRONOUS is neither full nor normal: set it to one of them");
	end
	sippo_sqlite_synchronous = synchronous;
elseif storage_setting ~= "internal" then
	local user, address, port, database = storage_setting:match("^postgresql://([^:@/]+)@([^:@/]+):?(%d*)/([^/?]+)$");
	if not user then
		mend("SIPPO_XMPP_STORAGE is none of sqlite, internal, postgresql://user@host:port/database "
			.."(the password goes to SIPPO_XMPP_STORAGE_PASSWORD): set it to one of them");
	end
	-- libpq's variable, not the option: Prosody logs the options at debug level
	if storage_password then require "util.pposix".setenv("PGPASSWORD", storage_password); end
	local server = {
		driver = "PostgreSQL", host = address, port = tonumber(port) or 5432, database = database, username = user,
	};
	sql = server;
	if starting then -- a reload waits for nothing
		local ok, problem = RunScript "modules/sippo_postgresql.lib.lua".wait(server, say);
		if not ok then
			mend("SIPPO_XMPP_STORAGE: PostgreSQL refuses the user %s or the database %s (%s): create them, or correct this "
				.."variable or SIPPO_XMPP_STORAGE_PASSWORD", user, database, problem);
		end
	end
end

-- Behaviour

authentication = "sippo";
sippo_session_max_age = number("SESSION_MAX_AGE", 12 * 60 * 60, 1, 12 * 60 * 60);
sippo_offline_quota = number("OFFLINE_QUOTA", 1000, 0, 1000000);
sippo_offline_byte_quota = number("OFFLINE_BYTE_QUOTA", 2 * 1024 * 1024, 0, 1024 * 1024 * 1024);
local retention = env("ARCHIVE_RETENTION", "never");
if retention ~= "never" and not retention:match("^%d+[dwmy]$") then
	mend("SIPPO_XMPP_ARCHIVE_RETENTION is neither never nor like 30d, 4w, 6m, 1y: set it to one of them");
end
archive_expires_after, muc_log_expires_after = retention, retention;
default_archive_policy, muc_log_by_default = true, true;
local resume_timeout = number("RESUME_TIMEOUT", 600, 0, 12 * 60 * 60);
smacks_hibernation_time, push_max_hibernation_timeout = resume_timeout, resume_timeout; -- push would make it days
-- What is kept of a tenant's users, so that one of them is no query more: by default so few that a group's messages
-- find none of its members. Block lists have a quota; of archives 0.12 wants to know how many messages are in them.
blocklist_cache_size, storage_archive_item_limit_cache_size = 2000, 10000;
migrate_legacy_blocking = false; -- 13's: nobody here ever had the block lists of mod_privacy
bounce_blocked_messages = true; -- as XEP-0191 has it, so that the service knows who refuses it; 13 would be silent
sippo_adhoc_limit = number("ADHOC_ROOM_LIMIT", 100, 0, 100000);
sippo_affiliation_quota = number("ADHOC_AFFILIATION_QUOTA", 128 * 1024, 1024, 1024 * 1024 * 1024);
sippo_roster_quota = number("ROSTER_QUOTA", 1024 * 1024, 1024, 1024 * 1024 * 1024);
sippo_private_quota = number("PRIVATE_XML_QUOTA", 256 * 1024, 1024, 1024 * 1024 * 1024);
sippo_blocklist_quota = number("BLOCK_LIST_QUOTA", 64 * 1024, 1024, 1024 * 1024 * 1024);
sippo_pep_quota = number("PEP_QUOTA", 1024 * 1024, 1024, 1024 * 1024 * 1024);
sippo_pep_node_limit = number("PEP_NODE_LIMIT", 100, 1, 100000);
sippo_vcard_quota = number("VCARD_QUOTA", 128 * 1024, 1024, 1024 * 1024 * 1024);
local bookmark_limit = number("BOOKMARK_LIMIT", 500, 1, 100000);
sippo_bookmark_limit, pep_max_items = bookmark_limit, bookmark_limit + 10000; -- beside the user's one for each room
sippo_fan_out_limit = number("FAN_OUT_LIMIT", 16 * 1024 * 1024, 1024 * 1024, 1024 * 1024 * 1024);
sippo_nickname_limit = number("NICKNAME_LIMIT", 100, 1, 100000);
sippo_push_limit = number("PUSH_LIMIT", 20, 0, 1000);
sippo_directed_limit = number("DIRECTED_PRESENCE_LIMIT", 1500, 10, 1000000);
sippo_session_limit = number("SESSION_LIMIT", 20, 1, 1000);
sippo_user_time_share = number("USER_TIME_SHARE", 50, 1, 100) / 100;
sippo_send_buffer_limit = number("SEND_BUFFER_LIMIT", 3 * 1024 * 1024, 1024 * 1024, 1024 * 1024 * 1024);
sippo_resume_limit = number("RESUME_LIMIT", 20, 1, 1000);
local upload_limit = number("UPLOAD_SIZE_LIMIT", 10 * 1024 * 1024, 1, 1024 * 1024 * 1024);
http_file_share_size_limit = upload_limit;
http_file_share_daily_quota = number("UPLOAD_DAILY_QUOTA", 10 * upload_limit, 1, 1024 * 1024 * 1024 * 1024);
sippo_upload_daily_slots = number("UPLOAD_DAILY_SLOTS", 1000, 1, 1000000);
http_file_share_expires_after = number("UPLOAD_RETENTION", 7 * 24 * 60 * 60, 60, 10 * 365 * 24 * 60 * 60);
-- A longer body is refused before it comes, but that of an upload with its slot's token: it goes to the disk in pieces.
http_max_content_size, http_max_buffer_size = 8 * 1024, 256 * 1024;

-- Modules

local enabled, disabled = {
	"sippo_shared_code",
	"saslauth", "websocket", "http", "disco", "ping", "limits", "cron", "sippo_sqlite", "sippo_postgresql",
	"sippo_websocket_errors", "sippo_tenant_isolation", "sippo_session_age", "sippo_xml_limits",
	"sippo_websocket_limits", "sippo_errors", "sippo_signals", "sippo_https_certificates", "sippo_known_versions",
	"sippo_delivery", "sippo_dates", "sippo_unknown_hosts", "sippo_websocket_text", "sippo_group_commit",
	"sippo_periodic_tasks",
}, { "s2s_auth_certs" };
local function append(items, ...)
	for _, item in ipairs { ... } do items[#items + 1] = item; end
end
if cell then append(enabled, "s2s", "sippo_cells"); else append(disabled, "s2s"); end
modules_enabled, modules_disabled = enabled, disabled;

local tenant_options = {
	disco_hidden = true, -- or else a.example lists b.a.example to its users
	modules_enabled = {
		"roster", "blocklist", "carbons", "smacks", "csi_simple", "mam", "pep", "bookmarks", "private",
		"vcard4", "vcard_legacy", "cloud_notify", "http_file_share", "sippo_roster_admin", "sippo_offline_quota",
		"sippo_push_services", "sippo_smacks_limits", "sippo_mam_limits", "sippo_upload_writes",
		"sippo_http_file_share_limits", "sippo_http_file_share_download",
		"sippo_smacks_counts", "sippo_account_owner", "sippo_chat_list", "sippo_invitations", "sippo_stanza_id",
		"sippo_delays",
		"sippo_blocklist", "sippo_pep_payloads", "sippo_bookmarks",
		"sippo_c2s_limits", "sippo_fair_share", "sippo_storage_quotas", "sippo_presence_limits", "sippo_groupchat",
	},
};
local room_options = {
	name = "Rooms",
	modules_enabled = {
		"muc_mam", "sippo_tenant_isolation", "sippo_muc_policy", "sippo_muc_lives", "muc_admin_batch", "sippo_message_batch",
		"sippo_mam_limits", "sippo_muc_adhoc_limit", "sippo_muc_shutdown", "sippo_muc_history",
		"sippo_errors", "sippo_websocket_errors", "sippo_unknown_hosts", "sippo_muc_voice", "sippo_muc_requests",
		"sippo_muc_nonmembers", "sippo_muc_nicknames", "sippo_muc_forgeries", "sippo_muc_blocklist", "sippo_muc_service_jid",
		"sippo_muc_invitations", "sippo_muc_bookmarks", "sippo_muc_archive_purge", "sippo_muc_nickname_limit",
		"sippo_muc_fan_out", "sippo_muc_room_quotas", "sippo_muc_broadcast",
	},
	component_admins_as_room_owners = true, -- what the service is in every room; 13 asks for it to be said
	muc_tombstones = false,
	muc_room_default_public = false,
	muc_vcard = false, -- 13's: owners would give the service's rooms a picture
	max_history_messages = 100, -- or else an owner has all of the archive sent to each who enters
	muc_room_cache_size = number("ROOM_CACHE_SIZE", 1000, 1, 1000000),
};
if cell then append(room_options.modules_enabled, "sippo_cells", "smacks", "sippo_guest_share"); end -- server-to-server
quobis_virtualhosts_host_options, quobis_virtualhosts_room_options = tenant_options, room_options;
quobis_virtualhosts_idle_time = number("TENANT_IDLE_TIME", 2 * 60 * 60, 1, 365 * 24 * 60 * 60);

-- Hosts: the admin's, and what the operator wants to be here for good; all others come at run time

VirtualHost(admin_host) {
	disco_hidden = true,
	modules_enabled = { "quobis_virtualhosts" },
	modules_disabled = { "s2s", "s2s_auth_certs", "offline" },
};
for _, name in ipairs(list("STATIC_HOSTS", "")) do
	VirtualHost(domain("STATIC_HOSTS", name))(tenant_options);
	Component("conference."..name)("muc")(room_options);
end

if cell then
	Component(cell..".sippo-cells.internal")("sippo_cell_link") { modules_enabled = { "sippo_cells", "smacks" } };
end

check(starting and environment.names(names)); -- behind all that asks for one
memory.refusal = nil;
