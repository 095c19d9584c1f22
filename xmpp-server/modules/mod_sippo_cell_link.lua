--- What cells tell each other of rooms' members (a component by which this server speaks for itself).
--
-- A user has the rooms that they belong to among their bookmarks, and loses an invitation with the membership. Where
-- user and room are on one server, modules see to it (mod_sippo_muc_bookmarks, mod_sippo_muc_invitations). Where they
-- are not, the room's cell tells the user's:
--
--   <iq type='set' from='eu-1.sippo-cells.internal' to='eu-2.sippo-cells.internal' id='…'>
--     <memberships xmlns='urn:quobis:sippo:cells:0'>
--       <membership room='…' user='…' kind='usersGroup' affiliation='member' name='Team 7'/>
--       <membership room='…' user='…' ended='E'/> …
--     </memberships></iq>
--
-- The first belongs to the room, the second does not. `ended` is what ended an earlier membership (see
-- sippo_invitations; `all` where that is unknown): invitations that are not newer are taken back. It is answered when
-- all is on the disk; the result names in the same way, as `later`, those who have to be told once more, as nobody has
-- said yet where the room is, or where the user has gone, or the user's tenant moves. Others do not wait for these.
-- What means nothing is left out alone.
--
-- Who is to be told is in the store before it counts as done, and is told until there is an answer, so a cell that is
-- away learns it when it is back. What somebody is to a room is looked up when it is told, so the last word is right.
--
-- Of a tenant that moves it is the new cell that has to tell it: the old one would be refused, and knows the rooms no
-- more. So it becomes part of the tenant's rows with the last word of the old cell (`hand_over`), and this server's
-- once the tenant is served here (`take_over`). What is to be told of users whose tenant moves waits here for its end.

local jid_host = require "util.jid".host;
local jid_prep = require "util.jid".prep;
local jid_split = require "util.jid".split;
local json = require "util.json";
local new_id = require "util.id".short;
local st = require "util.stanza";

local bookmarks = module:require "sippo_bookmarks";
local cells = module:require "sippo_routes";
local invitations = module:require "sippo_invitations";
local lives = module:require "sippo_lives";
local ranks = module:require "sippo_rooms".ranks;

local xmlns = "urn:quobis:sippo:cells:0";
local at_a_time = 50;
local again = 5; -- seconds until one that is away, or has refused, is asked again
local answer_within = 60; -- seconds

local store = module:open_store("sippo_cell_due", "map"); -- user: the guest's domain; key: room and user
local whole = module:open_store("sippo_cell_due");

local hosts = prosody.hosts;
local due = {}; -- { [domain] = { [key] = { room, user, ended }, … }, … }
local busy = {}; -- cells that are being told
local away = {}; -- cells that did not answer the last time
local slow = {}; -- cells that let others wait, and have not answered since
local put_off = setmetatable({}, { __mode = "k" }); -- items that a cell could do nothing with yet
local waiters = {};

-- Telling ----------------------------------------------------------------------------

local function key_of(room, user)
	return room.." "..user;
end

local function done_with(domain, key, item)
	local of_domain = due[domain];
	if not of_domain or of_domain[key] ~= item then return; end -- there is something newer to tell
	of_domain[key] = nil;
	if next(of_domain) == nil then due[domain] = nil; end
	store:set(domain, key, nil); -- if that fails, it is told once more after a restart
end

local function is_due(room, users)
	for _, user in ipairs(users) do
		local of_domain = due[jid_host(user)];
		local item = of_domain and of_domain[key_of(room, user)];
		local cell = item and not put_off[item] and cells.cell_of(jid_host(user));
		if cell and not away[cell] and not slow[cell] then return true; end
	end
	return false;
end

local function release_waiters()
	for waiter in pairs(waiters) do
		if not is_due(waiter.room, waiter.users) then
			waiters[waiter] = nil;
			waiter.go_on();
		end
	end
end

--- What ended an earlier membership, to say beside what the user is now.
-- @return `all` where that is unknown, or nil if nothing ended that their invitations would be of
local function ended_of(item, membership)
	local ended = item.ended == true and "all" or item.ended;
	if membership and ended == "all" then return nil; end -- of an earlier spell, by whatever it ended
	return ended;
end

local function add(iq, item)
	local membership = bookmarks.membership(item.room, item.user);
	local attr = membership or {};
	iq:tag("membership", { room = item.room, user = item.user, kind = attr.kind, affiliation = attr.affiliation,
		name = attr.name, ended = ended_of(item, membership) }):up();
end

--- Some of those who are on `cell`, in a request; and a list of what is in it.
local function collect(cell)
	local iq = st.iq({ type = "set", from = module.host, to = cells.host_of(cell), id = new_id() })
		:tag("memberships", { xmlns = xmlns });
	local told = {};
	for domain, items in pairs(due) do
		for key, item in pairs(cells.cell_of(domain) == cell and items or {}) do
			if #told == at_a_time then return iq, told; end
			if not put_off[item] then
				add(iq, item);
				told[#told + 1] = { domain, key, item };
			end
		end
	end
	return iq, told;
end

local tell, attend;

local function after(delay, cell)
	module:add_timer(delay, function () tell(cell); end);
end

function tell(cell)
	if busy[cell] then return; end
	local ok, iq, told = pcall(collect, cell);
	if not ok then
		module:log("error", "Could not look up what to tell the cell %s: %s; it is tried again", cell, iq);
		return after(again, cell);
	elseif not told[1] then
		return;
	end
	busy[cell] = true;
	module:send_iq(iq, nil, answer_within):next(function (event)
		local later, waiting = {}, {};
		for item in event.stanza:get_child("memberships", xmlns):childtags("later") do
			later[key_of(item.attr.room, item.attr.user)] = true;
		end
		for _, one in ipairs(told) do
			local item = one[3];
			if later[one[2]] then
				put_off[item], waiting[#waiting + 1] = true, item;
			else
				done_with(one[1], one[2], item);
			end
		end
		if away[cell] then module:log("info", "The cell %s answers again", cell); end
		away[cell], slow[cell] = nil, nil;
		if waiting[1] then -- the others meanwhile: a tenant that moves holds up no other
			module:add_timer(again, function ()
				for _, item in ipairs(waiting) do put_off[item] = nil; end
				for _, item in ipairs(waiting) do attend(jid_host(item.user)); end -- who may be elsewhere by now
			end);
		end
	end):catch(function (err)
		if not away[cell] then
			module:log("warn", "The cell %s was not told of its users in rooms here: %s; it is tried again every %d s", cell,
				err and err.condition or err, again);
		end
		away[cell] = true;
		return true;
	end):next(function (waits)
		busy[cell] = nil;
		release_waiters();
		after(waits and again or 0, cell);
	end);
end

local scheduled = {};

local function schedule(cell)
	if not cell or scheduled[cell] then return; end
	scheduled[cell] = true;
	module:add_timer(0, function () -- behind the transaction that this may be in
		scheduled[cell] = nil;
		tell(cell);
	end);
end

local link = module:shared "/*/sippo_cell_link/link"; -- `kind` is sippo_hosts'

--- Whether a tenant that is not served will be, here or on another cell: it moves, or its start has failed.
local function comes_back(domain)
	local kind = link.kind and link.kind(domain);
	return kind == "moving" or kind == "broken";
end

link.comes_back = comes_back;

--- Whoever has come to be on this server themselves.
local function settle_here(domain)
	for key, item in pairs(due[domain] or {}) do
		local ok = bookmarks.transact(function (changes)
			local ended = ended_of(item, bookmarks.membership(item.room, item.user));
			if ended then
				hosts[domain].events.fire_event("sippo-invitation-withdrawn", {
					username = jid_split(item.user), room = item.room, ended = ended ~= "all" and ended or nil;
				});
			end
			bookmarks.look(changes, item.room, item.user);
		end);
		if ok then done_with(domain, key, item); end
	end
end

local attending = {}; -- domains that are looked for again in a while

--- Has the users of a domain learn what is due to them, wherever they are by now.
function attend(domain)
	if not due[domain] or attending[domain] then return; end
	local cell = cells.cell_of(domain);
	if cell then return schedule(cell); end
	if hosts[domain] then settle_here(domain); end
	if not due[domain] or not hosts[domain] and not comes_back(domain) then return; end
	attending[domain] = true;
	module:add_timer(again, function ()
		attending[domain] = nil;
		attend(domain);
	end);
end

--- Has a user's cell told what the user is to a room of this server. It is in the store then; throws if it cannot be.
-- @param ended  what ended an earlier membership, true if that is unknown, or nil if none ended
function link.note(room, user, ended)
	local domain, key = jid_host(user), key_of(room, user);
	local of_domain = due[domain] or {};
	due[domain] = of_domain;
	local before = of_domain[key];
	local item = { room = room, user = user, ended = invitations.later(before and before.ended, ended) };
	of_domain[key] = item;
	local ok, err = store:set(domain, key, item);
	if not ok then error(err or "the store failed"); end
	module:add_timer(0, function () attend(domain); end); -- behind the transaction, too
end

--- Calls `go_on` when others' cells know what `users` are to a room, or are away. One that takes longer than `within`
-- seconds has nobody else wait until it has answered.
function link.when_told(room, users, within, go_on)
	local waiter = { room = room, users = users, go_on = go_on };
	if not is_due(room, users) then return go_on(); end
	waiters[waiter] = true;
	module:add_timer(within, function ()
		if not waiters[waiter] then return; end
		waiters[waiter] = nil;
		go_on();
		for cell in pairs(busy) do slow[cell] = true; end
		release_waiters();
	end);
end

--- The users of these domains are to be found, or are somewhere else now.
local function found(domains)
	for _, domain in ipairs(domains) do
		attending[domain] = nil;
		for _, item in pairs(due[domain] or {}) do put_off[item] = nil; end
		attend(domain);
	end
end

module:hook_global("sippo-routes-changed", function (event) found(event.domains); end);
module:hook_global("sippo-tenant-arrived", function (event) found { event.domain }; end);

-- Moves ----------------------------------------------------------------------------------

local function check(ok, err)
	if not ok then error(err or "the store failed"); end
	return ok;
end

--- Calls `f` with the database; moves are between databases.
local function in_database(f)
	for _, engine in pairs(module:shared "/*/sql/connections") do check(engine:transaction(f, engine)); end
end

local of_one = [[ WHERE "host"=? AND "store"='sippo_cell_due' AND "user"=? AND "key"=?]];
local give = 'UPDATE "prosody" SET "host"=?'..of_one;
local of_component = [[ FROM "prosody" WHERE "host"=? AND "store"='sippo_cell_due']];

--- Makes what is to be told of the rooms of a tenant, who is served here no longer, part of the tenant's rows. To be
-- called in the transaction that ends that; throws if it cannot be done.
-- @return what takes it back, for a transaction that fails
function link.hand_over(component)
	local given = {};
	in_database(function (engine)
		for domain, items in pairs(due) do
			for key, item in pairs(items) do
				if jid_host(item.room) == component then
					engine:update(give, component, module.host, domain, key);
					given[#given + 1] = { domain, key, item };
				end
			end
		end
	end);
	for _, one in ipairs(given) do
		local of_domain = due[one[1]];
		of_domain[one[2]] = nil;
		if next(of_domain) == nil then due[one[1]] = nil; end
	end
	return function ()
		for _, one in ipairs(given) do
			due[one[1]] = due[one[1]] or {};
			due[one[1]][one[2]] = one[3];
		end
	end;
end

--- Has this server tell what has come with a tenant's rows. To be called in the transaction by which the tenant comes
-- to be served here; throws if it cannot be done.
function link.take_over(component)
	local values = {};
	in_database(function (engine)
		for row in engine:select([[SELECT "value"]]..of_component, component) do values[#values + 1] = row[1]; end
		engine:delete("DELETE"..of_component, component);
	end);
	for _, value in ipairs(values) do
		local item = json.decode(value);
		link.note(item.room, item.user, item.ended);
	end
end

-- After a restart
module:add_timer(0, function ()
	for domain in whole:users() do
		for key, item in pairs(whole:get(domain) or {}) do
			due[domain] = due[domain] or {};
			due[domain][key] = due[domain][key] or item;
		end
		attend(domain);
	end
end);

-- Being told -----------------------------------------------------------------------------

--- Whether `cell` may say who belongs to a room: it is the one that the room is on.
local function may_tell(cell, room)
	local host = jid_host(room);
	local tenant, is_rooms = cells.tenant_of(host);
	return tenant and is_rooms and cells.cell_of(host) == cell;
end

--- Whether what is told can be of a room and a user. One that is not must not keep the others of its list from them.
local function is_sound(room, user, attr)
	local is_room, _, no_room = jid_split(room);
	local is_user, _, no_user = jid_split(user);
	return is_room and not no_room and is_user and not no_user
		and (attr.affiliation == nil or (ranks[attr.affiliation] or ranks.none) >= ranks.member)
		and (attr.ended == nil or attr.ended == "all" or lives.parse(attr.ended) ~= nil);
end

--- Takes in one; false if it has to be told again.
local function take_in(cell, told, changes)
	local room, user = jid_prep(told.attr.room), jid_prep(told.attr.user);
	if not is_sound(room, user, told.attr) then
		module:log("warn", "The cell %s tells what means nothing, of %s and %s: it is left out", cell, room, user);
		return true; -- no retry helps
	end
	local username, domain = jid_split(user);
	if not may_tell(cell, room) or cells.cell_of(domain) then return false; end
	local tenant = username and hosts[domain];
	if not tenant then return not comes_back(domain); end
	if not tenant.modules or not tenant.modules.sippo_bookmarks then return true; end
	local attr = told.attr;
	if attr.ended then
		tenant.events.fire_event("sippo-invitation-withdrawn", {
			username = username, room = room, ended = attr.ended ~= "all" and attr.ended or nil;
		});
	end
	tenant.events.fire_event("sippo-bookmark-set", {
		username = username, room = room, changes = changes,
		membership = attr.affiliation and { name = attr.name, kind = attr.kind, affiliation = attr.affiliation };
	});
	return true;
end

module:hook("iq-set/host/"..xmlns..":memberships", function (event)
	local origin, stanza = event.origin, event.stanza;
	local cell = cells.speaker(stanza.attr.from);
	local reply = st.reply(stanza):tag("memberships", { xmlns = xmlns });
	local ok, err = bookmarks.transact(function (changes)
		for told in stanza.tags[1]:childtags("membership") do
			if not take_in(cell, told, changes) then
				reply:tag("later", { room = told.attr.room, user = told.attr.user }):up();
			end
		end
	end);
	if not ok then
		module:log("error", "Could not store what the cell %s tells: %s; see that the store works", cell, err);
		reply = st.error_reply(stanza, "wait", "internal-server-error", "It could not be stored; try again later");
	end
	origin.send(reply);
	return true;
end);

-- Nobody else has to do with this host.
local function guard(event)
	local stanza = event.stanza;
	if cells.speaker(stanza.attr.from) then return nil; end
	if stanza.attr.type ~= "error" and stanza.attr.type ~= "result" then
		event.origin.send(st.error_reply(stanza, "auth", "forbidden", "Only cells have to do with this address"));
	end
	return true;
end

for _, name in ipairs { "message", "presence", "iq" } do
	for _, address in ipairs { "bare", "full", "host" } do module:hook(name.."/"..address, guard, 1000); end
end
