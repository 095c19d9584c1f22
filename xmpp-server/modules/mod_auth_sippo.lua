--- Authentication by login token (RFC 4616 SASL PLAIN), without a password store.
--
--   * On the admin's host only the admin JID logs in, with the admin token or its predecessor.
--   * On every other host a login token for exactly that user logs in, the admin token does not.
--
-- There are no accounts: the platform knows its users, so every canonical localpart of a tenant counts as an existing
-- user, and messages to someone who never logged in are stored for them.

local st = require "util.stanza";
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local stringprep = require "util.encodings".stringprep;

local admin_token = module:require "sippo_admin_token";
local login_token = module:require "sippo_login_token";

local xmlns_sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
local max_tries = 5;
local host = module.host;
local admin_user, admin_host = jid_split(module:get_option_string("sippo_admin_jid"));
local is_admin_host = host == admin_host;

if not admin_host then
	error("sippo_admin_jid is not set: set SIPPO_XMPP_ADMIN_JID or use prosody.cfg.lua of this folder");
end
if #admin_token.accepted(module) == 0 then
	error("sippo_admin_token is not set or unfit: set SIPPO_XMPP_ADMIN_TOKEN");
end

local function login_keys()
	local keys = {};
	for i, token in ipairs(admin_token.accepted(module)) do
		keys[i] = login_token.derive_key(token);
	end
	return keys;
end

local function check(user, secret)
	if not is_admin_host then
		return login_token.verify(secret, login_keys(), user, host, os.time());
	elseif user ~= admin_user then
		return nil, "only the server admin logs in on this host";
	elseif not admin_token.is_accepted(module, secret) then
		return nil, "not the admin token: compare the service's adminToken with SIPPO_XMPP_ADMIN_TOKEN";
	end
	return true;
end

-- RFC 4616, section 2: [authzid] NUL authcid NUL passwd, and nothing after it. The user comes back prepared, also
-- from a message without a password, so that the log can name them.
local function parse_plain(message)
	local authzid, authcid, secret = (message or ""):match("^([^\0]*)\0([^\0]+)\0([^\0]*)$");
	local user = authcid and stringprep.nodeprep(stringprep.saslprep(authcid) or "");
	if user == "" then user = nil; end
	return user, secret, authzid;
end

local sasl = {}; -- what mod_saslauth expects of a handler (compare util.sasl)
sasl.__index = sasl;

local function new_sasl()
	return setmetatable({}, sasl);
end

function sasl:clean_clone() -- luacheck: ignore 212/self
	return new_sasl();
end

function sasl:mechanisms() -- luacheck: ignore 212/self
	return { PLAIN = true };
end

function sasl:select(mechanism)
	if mechanism ~= "PLAIN" or self.selected then return nil; end
	self.selected = mechanism;
	return true;
end

function sasl:process(message)
	local user, secret, authzid = parse_plain(message);
	if not user then
		module:log("warn", "Login failed on %s: malformed SASL PLAIN message", host);
		return "failure", "malformed-request";
	end
	local jid = user.."@"..host;
	if secret == "" then
		module:log("warn", "Login of %s failed: no token given", jid);
		return "failure", "malformed-request";
	end
	if authzid ~= "" and jid_prep(authzid) ~= jid then
		module:log("warn", "Login of %s failed: asked to act as somebody else", jid);
		return "failure", "invalid-authzid";
	end
	local ok, reason, expired = check(user, secret);
	if not ok then
		module:log("warn", "Login of %s failed: %s", jid, reason);
		return "failure", expired and "credentials-expired" or "not-authorized"; -- RFC 6120, section 6.5.3
	end
	self.username = user;
	return "success";
end

-- RFC 6120, section 6.4.5: a stream has a few tries, then it ends.
module:hook("authentication-failure", function (event)
	local session = event.session;
	session.sippo_failed_logins = (session.sippo_failed_logins or 0) + 1;
	if session.sippo_failed_logins >= max_tries then
		module:add_timer(0, function () -- after the answer to this try
			if session.conn then
				session:close({ condition = "policy-violation", text = "Too many failed logins: get a new login token" });
			end
		end);
	end
end);

-- After mod_saslauth (0), which leaves those who have logged in alone: nobody else answers, and what nobody answers
-- Prosody logs, token and all.
module:hook("stanza/"..xmlns_sasl..":auth", function (event)
	event.origin.send(st.stanza("failure", { xmlns = xmlns_sasl })
		:tag("not-authorized"):up():text_tag("text", "You have logged in already: open another stream"));
	return true;
end, -10);

local provider = {};

function provider.get_sasl_handler()
	return new_sasl();
end

--- Every canonical localpart exists on a tenant's host; on the admin's host nobody but the admin does.
function provider.user_exists(username)
	if is_admin_host then
		return username == admin_user;
	end
	-- Stock modules ask also with what they took off a malformed JID: nil.
	return type(username) == "string" and username ~= "" and stringprep.nodeprep(username) == username;
end

module:provides("auth", provider);
