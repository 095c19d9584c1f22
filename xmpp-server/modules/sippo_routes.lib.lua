-- Cells: which other XMPP server a domain is on, as the service has said (see mod_sippo_cells).
--
-- A tenant is a domain with its `conference.`; what is said of the one holds for the other. Each server has a host of
-- its own as well, by which it speaks for itself with others: its name, then `.sippo-cells.internal`.

local jid_host = require "util.jid".host;

local component_prefix, suffix = "conference.", ".sippo-cells.internal";

local own = module:get_option_string("sippo_cell");
local cells = module:get_option("sippo_cells", {}); -- [name] = { host = …, port = … }

-- [domain] = name of the cell; sippo_route_store fills it.
local routes = module:shared "/*/sippo_routes/routes";

local link = module:shared "/*/sippo_cell_link/link"; -- empty where the server is no cell

local _M = { own = own, cells = cells };

--- Whether this server is one of several.
_M.has_cells = own ~= nil;

--- The host by which a cell speaks for itself.
function _M.host_of(cell)
	return cell..suffix;
end

--- Whether a name is a cell's, of whichever: whoever had it as a tenant would be taken for that cell.
function _M.is_cells_name(domain)
	return ("."..domain):sub(-#suffix) == suffix;
end

local cell_of_host = {};
for name in pairs(cells) do
	if name ~= own then cell_of_host[_M.host_of(name)] = name; end
end

--- The cell that speaks by this host, which is no tenant's; nil if none other does.
function _M.speaker(host)
	return cell_of_host[host];
end

--- The tenant on another cell that a host is, or belongs to, and whether the host is the one of its rooms; or nil.
function _M.tenant_of(host)
	if routes[host] then return host, false; end
	local tenant = host and host:sub(1, #component_prefix) == component_prefix and host:sub(#component_prefix + 1);
	if tenant and routes[tenant] then return tenant, true; end
end

--- The other cell that a host is on; nil if that is unknown.
function _M.cell_of(host)
	if cell_of_host[host] then return cell_of_host[host]; end
	local tenant = _M.tenant_of(host);
	local cell = tenant and routes[tenant];
	return cells[cell] and cell or nil;
end

--- Has it told what a user is to a room of this server, if the user's tenant is on another cell, or is to be served
-- again; of whom neither is so, nobody has to be told (see mod_sippo_cell_link).
-- @param ended  what ended an earlier membership, true if that is unknown, or nil if none ended
function _M.note_elsewhere(room, user, ended)
	local domain = jid_host(user);
	if _M.tenant_of(domain) or link.comes_back and link.comes_back(domain) then link.note(room, user, ended); end
end

return _M;
