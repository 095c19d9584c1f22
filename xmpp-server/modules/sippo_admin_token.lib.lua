--- The platform's admin token: what a fit one looks like, and how to compare one without telling anything by time.
--
-- Shared by mod_auth_sippo, mod_quobis_virtualhosts (as `module:require`) and prosody.cfg.lua (as a plain script).

local hashes = require "util.hashes";
local random_bytes = require "util.random".bytes;

local min_length, max_length = 32, 512;
local placeholder = "please_change_me"; -- of the example configurations

-- A key nobody knows, new at each start: equal digests mean equal tokens, unequal digests tell nothing about them.
local comparison_key = random_bytes(32);

local lib = {};

--- Why `token` cannot be the admin token, or nil when it can. Never contains the token.
function lib.problem(token)
	if type(token) ~= "string" or token == "" then
		return "is not set";
	elseif token == placeholder then
		return "is still the example's placeholder";
	elseif #token < min_length or #token > max_length then
		return ("has %d characters instead of %d to %d"):format(#token, min_length, max_length);
	elseif token:find("[^\33-\126]") then
		return "contains characters other than printable ASCII without spaces";
	end
end

--- Compares two strings in time that does not depend on where they differ.
function lib.equals(a, b)
	return hashes.equals(hashes.hmac_sha256(comparison_key, a), hashes.hmac_sha256(comparison_key, b));
end

--- The accepted tokens by the options of `host_module`: the current one, then its predecessor if there is one.
-- Read again at each call: the operator may change them at run time.
function lib.accepted(host_module)
	local tokens = {};
	for _, option in ipairs { "sippo_admin_token", "sippo_admin_token_previous" } do
		local token = host_module:get_option_string(option);
		if token and not lib.problem(token) then
			tokens[#tokens + 1] = token;
		end
	end
	return tokens;
end

--- Whether `given` is one of the accepted admin tokens. Looks at all of them, whichever matches.
function lib.is_accepted(host_module, given)
	local found = false;
	for _, token in ipairs(lib.accepted(host_module)) do
		found = lib.equals(token, given) or found;
	end
	return found;
end

return lib;
