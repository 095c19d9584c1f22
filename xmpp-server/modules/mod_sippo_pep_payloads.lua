--- What modules that store in PEP cannot digest is refused before they see it.
--
--   * mod_vcard_legacy throws at a photo that is no base64, and at a JID that is no text (XEP-0054);
--   * mod_bookmarks takes an item without <conference/> (XEP-0402), and throws from then on whenever bookmarks are set
--     in private storage, and fails when none are set and none are there, when their node keeps nothing, and when its
--     owner has given up being that;
--   * mod_bookmarks takes an item without <storage/> as old bookmarks (XEP-0048), and throws at every login from then
--     on: the user cannot log in any more;
--   * mod_pubsub throws at <publish-options/> without a form (XEP-0060, section 7.1.5), and at an affiliation of nobody
--     (section 8.9.2).

local base64 = require "util.encodings".base64;
local jid_bare, jid_prep = require "util.jid".bare, require "util.jid".prep;
local st = require "util.stanza";

local pep = module:depends "pep";

local xmlns_bookmarks, xmlns_old_bookmarks = "urn:xmpp:bookmarks:1", "storage:bookmarks";

local function refuse(event, text)
	event.origin.send(st.error_reply(event.stanza, "modify", "bad-request", text));
	return true;
end

module:hook("iq-set/self/vcard-temp:vCard", function (event)
	local vcard = event.stanza.tags[1];
	for jid in vcard:childtags("JABBERID") do
		if not jid:get_text() then return refuse(event, "JABBERID is no text"); end
	end
	for photo in vcard:childtags("PHOTO") do
		local data = photo:get_child_text("BINVAL");
		if data and not base64.decode(data) then return refuse(event, "BINVAL of PHOTO is no base64"); end
	end
end, 10);

module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", function (event)
	local pubsub = event.stanza.tags[1];
	local options, publish = pubsub:get_child("publish-options"), pubsub:get_child("publish");
	if options and not options:get_child("x", "jabber:x:data") then
		return refuse(event, "Give publish-options a form");
	end
	if event.stanza.attr.type ~= "set" or not publish then return; end
	for item in publish:childtags("item") do
		if publish.attr.node == xmlns_old_bookmarks and not item:get_child("storage", xmlns_old_bookmarks) then
			return refuse(event, "Old bookmarks are an item with <storage/>");
		elseif publish.attr.node == xmlns_bookmarks and not item:get_child("conference", xmlns_bookmarks) then
			return refuse(event, "A bookmark is an item with <conference/>");
		end
	end
end, 10);

module:hook("iq/bare/http://jabber.org/protocol/pubsub#owner:pubsub", function (event)
	local affiliations = event.stanza.tags[1]:get_child("affiliations");
	for affiliation in affiliations and affiliations:childtags("affiliation") or function () end do
		local jid = jid_prep(affiliation.attr.jid);
		if not jid then return refuse(event, "Give each affiliation a JID"); end
		if jid == jid_bare(event.stanza.attr.from) then return refuse(event, "Your own affiliation stays as it is"); end
	end
end, 10);

--- Whether a form has a node's items kept nowhere.
local function keeps_nothing(form)
	for field in form:childtags("field") do
		local value = field:get_child_text("value");
		if field.attr.var == "pubsub#persist_items" and (value == "0" or value == "false") then return true; end
	end
	return false;
end

local function names_bookmarks(pubsub)
	for _, action in ipairs(pubsub.tags) do
		if action.attr.node == xmlns_bookmarks then return true; end
	end
	return false;
end

--- Bookmarks are kept: mod_bookmarks fails where their node keeps nothing.
local function keep_bookmarks(event)
	local pubsub = event.stanza.tags[1];
	if event.stanza.attr.type ~= "set" or not names_bookmarks(pubsub) then return; end
	for _, action in ipairs(pubsub.tags) do
		local form = action:get_child("x", "jabber:x:data");
		if form and keeps_nothing(form) then return refuse(event, "Bookmarks are kept: leave persist_items on"); end
	end
end

module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", keep_bookmarks, 10);
module:hook("iq/bare/http://jabber.org/protocol/pubsub#owner:pubsub", keep_bookmarks, 10);

--- Answers that no bookmarks are kept when none are set and none were: mod_bookmarks purges what is not there.
local function keep_none(event, storage)
	if not storage or #storage.tags > 0 then return; end
	local username = event.origin.username;
	local found, problem = pep.get_pep_service(username):get_items(xmlns_bookmarks, username.."@"..module.host);
	if found or problem ~= "item-not-found" then return; end
	event.origin.send(st.reply(event.stanza));
	return true;
end

module:hook("iq/bare/jabber:iq:private:query", function (event)
	local stanza = event.stanza;
	if stanza.attr.to or stanza.attr.type ~= "set" then return; end
	return keep_none(event, stanza.tags[1]:get_child("storage", xmlns_old_bookmarks));
end, 5);

module:hook("iq/bare/http://jabber.org/protocol/pubsub:pubsub", function (event)
	local stanza = event.stanza;
	local publish = not stanza.attr.to and stanza.attr.type == "set" and stanza.tags[1]:get_child("publish");
	local item = publish and publish.attr.node == xmlns_old_bookmarks and publish:get_child("item");
	return keep_none(event, item and item:get_child("storage", xmlns_old_bookmarks));
end, 5);

-- What was stored before it was refused. Before mod_bookmarks (0), which would throw
module:hook("resource-bind", function (event)
	local username = event.session.username;
	local jid, service = username.."@"..module.host, pep.get_pep_service(username);
	local found, items = service:get_items(xmlns_old_bookmarks, jid);
	for _, id in ipairs(found and items or {}) do
		if not items[id]:get_child("storage", xmlns_old_bookmarks) then service:retract(xmlns_old_bookmarks, jid, id); end
	end
end, 10);
