--- What is wrong with this server's environment (part of prosody.cfg.lua), seen at start, before anything serves.
--
-- Prosody logs a port that is taken, a certificate that it cannot read or that it is run by root, and goes on without.
-- Each function returns nil, or a text with the variable and what to do.

local lfs = require "lfs";
local pposix = require "util.pposix";
local socket = require "socket";
local ssl = require "ssl";

local prefix = "SIPPO_XMPP_";

local lib = {};

function lib.root(may_be_root)
	if pposix.getuid() == 0 and not may_be_root then
		return prefix.."RUN_AS_ROOT: root runs this server: have another user run it, or set this variable to 1 (containers, "
			.."trials)";
	end
end

function lib.folder(path)
	if lfs.attributes(path, "mode") ~= "directory" then
		return prefix.."DATA: there is no folder "..path..": make it, writable for Prosody's user";
	end
	local probe = path.."/.writable";
	local file, err = io.open(probe, "w");
	if not file then
		return prefix.."DATA: nothing can be written there ("..err.."): make it writable for Prosody's user";
	end
	file:close();
	os.remove(probe);
end

--- `name` is the variable of the port.
function lib.port(name, interface, port)
	local listener, err = socket.bind(interface, port);
	if listener then
		listener:close();
		return;
	end
	return ("%s%s: %s:%d cannot be listened on (%s): end what listens there, or set this variable or %sINTERFACE to "
		.."something else"):format(prefix, name, interface, port, err, prefix);
end

--- `kind` is what the names of the variables begin with, if anything; `authority` may be nil.
function lib.certificate(certificate, key, kind, authority)
	local prefix = prefix..(kind or ""); -- luacheck: ignore 431/prefix
	for name, path in pairs { CERTIFICATE = certificate, KEY = key, AUTHORITY = authority } do
		local file, err = io.open(path);
		if not file then
			return ("%s%s cannot be read (%s): make it readable for Prosody's user, or name another file")
				:format(prefix, name, err);
		end
		file:close();
	end
	local context, err = ssl.newcontext {
		mode = "server", protocol = "any", certificate = certificate, key = key, cafile = authority;
	};
	if not context then
		return ("%sCERTIFICATE %s, %sKEY %s: %s; give a certificate and its own key as PEM files")
			:format(prefix, certificate, prefix, key, err);
	end
end

--- Reads `eu-1=10.0.0.1:5270,eu-2=cell2.internal:5270`.
-- @param own  the name of this one, which has to be among them
-- @return { [name] = { host, port }, … }, or nil and what is wrong with it
function lib.cells(text, own)
	local found = {};
	local hint = prefix.."CELLS: %s: write each cell's name and address, like eu-1=10.0.0.1:5270,eu-2=10.0.0.2:5270";
	for item in text:gmatch("[^,%s]+") do
		local name, host, port = item:match("^([a-z0-9-]+)=(.+):(%d+)$");
		port = math.tointeger(tonumber(port));
		if not name or #name > 32 or port < 1 or port > 65535 then return nil, hint:format(item.." is no cell"); end
		if found[name] then return nil, hint:format(name.." is there twice"); end
		found[name] = { host = host, port = port };
	end
	if not found[own] then return nil, hint:format("SIPPO_XMPP_CELL names "..own..", which is not there"); end
	return found;
end

--- How many letters are between two names (Levenshtein).
local function distance(a, b)
	local row = {};
	for j = 0, #b do row[j] = j; end
	for i = 1, #a do
		local diagonal = row[0];
		row[0] = i;
		for j = 1, #b do
			local cost = a:byte(i) == b:byte(j) and 0 or 1;
			diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost);
		end
	end
	return row[#b];
end

local function nearest(name, known)
	local best, best_distance = nil, 4;
	for candidate in pairs(known) do
		local d = distance(name, candidate);
		if d < best_distance or d == best_distance and best and candidate < best then best, best_distance = candidate, d; end
	end
	return best;
end

--- `known`: the names without the prefix, as keys. Those with another underscore are the functions' own.
function lib.names(known)
	local file = io.open("/proc/self/environ", "rb");
	if not file then return; end -- no Linux
	local text = file:read("*a");
	file:close();
	for entry in text:gmatch("[^%z]+") do
		local name = entry:match("^"..prefix.."([^_=][^=]*)=");
		if name and not known[name] then
			local meant = nearest(name, known);
			return ("%s%s is no variable of this server: unset it, or give it its right name%s"):format(prefix, name,
				meant and (" (%s%s?)"):format(prefix, meant) or "");
		end
	end
end

return lib;
