--- Tenants that are known but not loaded, until something addresses them (part of mod_quobis_virtualhosts).
--
-- A virtual host with its room component is 80 modules: a MiB, and time that everybody waits; most tenants are not in
-- use most of the time. All of Prosody finds a host in `prosody.hosts`: a name that is not there is looked up here, and
-- the tenant is loaded on the spot, whether a login, a stanza, an upload or a module of ours asks for it. Who walks
-- through `prosody.hosts`, or uses rawget, wakes nobody. Nor may a host be looked up in a SQL transaction of one's own
-- (`engine:transaction`): one that is loaded has some, too. In a transaction of sippo_transaction they join it.

local hosts = prosody.hosts;

-- [domain or name of its component] = domain. mod_sippo_tenant_isolation reads it.
local names = module:shared "/*/sippo_dormant_hosts/names";

local _M = {};

--- Whether a domain is a tenant that sleeps.
function _M.is_dormant(domain)
	return names[domain] == domain;
end

--- The domains of all tenants that sleep.
function _M.list()
	local domains = {};
	for name, domain in pairs(names) do
		if name == domain then domains[#domains + 1] = domain; end
	end
	return domains;
end

--- Whether there is a host of this name, loaded or not.
function _M.is_known(name)
	return names[name] ~= nil or rawget(hosts, name) ~= nil;
end

--- Has a tenant sleep that is not loaded.
function _M.add(domain, component)
	names[domain], names[component] = domain, domain;
end

--- Forgets a tenant.
function _M.remove(domain, component)
	names[domain], names[component] = nil, nil;
end

--- Has `wake(domain)` called for each tenant that something addresses. It takes the tenant out of here and loads its
-- hosts; it must not throw.
function _M.enable(wake)
	setmetatable(hosts, { __index = function (_, name)
		local domain = name ~= nil and names[name];
		if not domain then return nil; end
		wake(domain);
		return rawget(hosts, name);
	end });
end

--- Loads the tenant of which this is a host, unless it is.
function _M.wake(name)
	return hosts[name] ~= nil;
end

--- Wakes nobody any more.
function _M.disable()
	setmetatable(hosts, nil);
end

return _M;
