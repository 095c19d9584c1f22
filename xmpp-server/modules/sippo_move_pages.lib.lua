--- All that a tenant has stored, in pages: read from one server, written to another (part of mod_quobis_virtualhosts).
--
-- What is read is a sequence of records, in an order that stays as long as nothing is written: the rows of the domain
-- and of its rooms, their archives in the order in which these grew, the pieces of their uploads. A cursor is a place
-- in it. The target keeps the cursor up to which it has everything, in the same transaction as the rows, and takes only
-- the page that begins there; so a page that comes twice, or late, does nothing. A page is of either database's: it
-- holds values, and keys order themselves anew.

local hashes = require "util.hashes";
local base64 = require "util.encodings".base64;
local lfs = require "lfs";
local now = require "util.time".monotonic;
local path_encode = require "util.datamanager".path_encode;

local transaction = module:require "sippo_transaction";

local pack, unpack = string.pack, string.unpack;

local _M = {};

_M.last_cursor = "end";

local magic = "sippo-move 1\n";
local most_bytes = 256 * 1024; -- of a page, but for a single record that is longer
local piece = 128 * 1024; -- bytes of a file at a time
local slice = 0.025; -- seconds that reading a page may take; others wait so long

-- The parts in their order: which table or "files", and which of the tenant's two hosts
local parts = {
	{ of = "prosody", host = 1 }, { of = "prosodyarchive", host = 1 },
	{ of = "prosody", host = 2 }, { of = "prosodyarchive", host = 2 },
	{ of = "files", host = 1 }, { of = "files", host = 2 },
};

local next_rows = [[SELECT "user","store","key","type","value" FROM "prosody" WHERE "host"=?
	AND ("user","store","key")>(?,?,?) ORDER BY "user","store","key" LIMIT ?]];
local first_rows = [[SELECT "user","store","key","type","value" FROM "prosody" WHERE "host"=?
	ORDER BY "user","store","key" LIMIT ?]];
-- By the index that mod_storage_sql has: each archive's messages in its order, one archive after the other.
local messages = [[SELECT "sort_id","user","store","key","when","with","type","value" FROM "prosodyarchive"
	WHERE "host"=?%s ORDER BY "user","store","sort_id" LIMIT ?]];
local first_messages, next_messages = messages:format(""), messages:format([[ AND ("user","store","sort_id")>(?,?,?)]]);
local insert_row = 'INSERT INTO "prosody" ("host","user","store","key","type","value") VALUES (?,?,?,?,?,?)';
local insert_message = [[INSERT INTO "prosodyarchive" ("host","user","store","when","with","key","type","value")
	VALUES (?,?,?,?,?,?,?,?)]];

--- The database; nil where there is none.
local function database()
	local _, engine = next(module:shared "/*/sql/connections");
	return engine;
end

local function whole(number) return ("%d"):format(math.floor(tonumber(number) or 0)); end

-- Cursors: the part, and the place of the last record in it. Of a message also its key: what is counted of a message
-- says which one it follows in its archive. In another database archives may have another order, messages have not.

local function write_cursor(part, ...)
	local place = { ... };
	for i = 1, 4 do place[i] = place[i] or ""; end
	return base64.encode(pack(">I1s4s4s4s4", part, table.unpack(place, 1, 4)));
end

--- The part, and the place in it: nil where none of it was read.
local function read_cursor(text)
	if text == "" then return 1; end
	local found = table.pack(pcall(unpack, ">I1s4s4s4s4", base64.decode(text) or ""));
	local ok, part = found[1], found[2];
	if not ok or not parts[part] then return nil; end
	local place = { table.unpack(found, 3, 6) };
	return part, table.concat(place) ~= "" and place or nil;
end

-- Files, by their path below the host's folder. A host that is not served gets no new ones.

local listed = {}; -- domain's host: its files; one host's at a time

local function list(root, below, files)
	for name in lfs.dir(root..below) do
		if name ~= "." and name ~= ".." then
			local path = below.."/"..name;
			if lfs.symlinkattributes(root..path, "mode") == "directory" then
				list(root, path, files);
			elseif not name:find("~$") then -- an upload that was not finished
				files[#files + 1] = path;
			end
		end
	end
end

local function root_of(host) return prosody.paths.data.."/"..path_encode(host); end

local function files_of(host, is_first)
	if is_first or not listed[host] then
		local files = {};
		if lfs.attributes(root_of(host), "mode") == "directory" then list(root_of(host), "", files); end
		table.sort(files);
		listed = { [host] = files };
	end
	return listed[host];
end

--- The index of the first file whose path is `path` or later.
local function find_file(files, path)
	local low, high = 1, #files + 1;
	while low < high do
		local middle = (low + high) // 2;
		if files[middle] < path then low = middle + 1; else high = middle; end
	end
	return low;
end

--- Calls `take(part, cursor, fields…)` for records behind a cursor until it returns true.
-- What it reads of the database may have to be read again, when the connection was lost.
local readers = {};

function readers.prosody(engine, part, host, rows, take, place)
	local count = 0;
	local function take_all(found)
		for row in found do
			count = count + 1;
			local cursor = write_cursor(part, row[1], row[2], row[3]);
			if take(part, cursor, row[1], row[2], row[3], row[4], row[5]) then return true; end
		end
	end
	local is_full;
	if place then is_full = take_all(engine:select(next_rows, host, place[1], place[2], place[3], rows));
	else is_full = take_all(engine:select(first_rows, host, rows)); end
	if is_full then return true; end
	return count >= rows;
end

function readers.prosodyarchive(engine, part, host, rows, take, place)
	local count, last = 0, place and { user = place[1], store = place[2], key = place[4] } or {};
	local function take_all(found)
		for row in found do
			count = count + 1;
			local id, user, store, key = whole(row[1]), row[2], row[3], row[4];
			local previous = user == last.user and store == last.store and last.key or "";
			last = { user = user, store = store, key = key };
			local cursor = write_cursor(part, user, store, id, key);
			if take(part, cursor, user, store, key, whole(row[5]), row[6], row[7], row[8], previous) then return true; end
		end
	end
	local is_full;
	if place then
		is_full = take_all(engine:select(next_messages, host, place[1], place[2], tonumber(place[3]), rows));
	else
		is_full = take_all(engine:select(first_messages, host, rows));
	end
	return is_full or count >= rows;
end

function readers.files(_, part, host, _, take, place)
	local files = files_of(host, not place);
	local path, offset = table.unpack(place or { "", "0" });
	local index = find_file(files, path);
	local from = tonumber(offset) or 0;
	while files[index] do
		local file = io.open(root_of(host)..files[index], "rb");
		if file then
			local size = file:seek("end");
			if files[index] ~= path then from = 0; end
			while from < size or (size == 0 and files[index] ~= path) do
				file:seek("set", from);
				local data = file:read(piece) or "";
				local first = from;
				from = from + #data;
				if take(part, write_cursor(part, files[index], whole(from)), files[index], whole(first), data) then
					file:close();
					return true;
				end
				if size == 0 then break; end
			end
			file:close();
		end
		path, index, from = "", index + 1, 0;
	end
	return false;
end

--- Reads records behind `after`, as many as are due in a slice.
-- @param take  as for the readers
-- @return the cursor of what was read; or nil, what went wrong, and the HTTP status
local function walk(names, after, rows, take)
	local engine = database();
	if not engine then return nil, "Only hosts whose storage is a database can be moved: set STORAGE", 409; end
	if after == _M.last_cursor then return after; end
	local part, place = read_cursor(after);
	if not part then return nil, "Not a cursor: give one of this move", 400; end
	local ends = now() + slice;
	local cursor, left = after, rows;
	local function counted(which, behind, ...)
		take(which, behind, ...);
		cursor, left = behind, left - 1;
		return left <= 0 or now() > ends or take.is_full();
	end
	while parts[part] do
		local read = readers[parts[part].of];
		local host = names[parts[part].host];
		local more;
		if parts[part].of == "files" then
			more = read(engine, part, host, left, counted, place);
		else
			local ok, outcome = engine:transaction(function ()
				-- Without statistics of the table, as after rows have come, PostgreSQL would sort all that is left.
				if engine.params.driver == "PostgreSQL" then engine:execute("SET LOCAL enable_bitmapscan = off"); end
				return read(engine, part, host, left, counted, place);
			end);
			if not ok then return nil, "The database cannot be read: "..tostring(outcome), 500; end
			more = outcome;
		end
		if more then return cursor; end
		part, place = part + 1, nil;
		cursor = parts[part] and write_cursor(part) or _M.last_cursor;
		if left <= 0 or now() > ends then return cursor; end
	end
	return _M.last_cursor;
end

--- Something to collect records with.
local function collector(on_record)
	local bytes = 0;
	local self = { is_full = function () return bytes >= most_bytes; end };
	return setmetatable(self, { __call = function (_, ...) bytes = bytes + on_record(...); end });
end

local formats = { prosody = ">I1s4s4s4s4s4", prosodyarchive = ">I1s4s4s4s4s4s4s4", files = ">I1s4s4s4" };

local function record(part, ...)
	return pack(formats[parts[part].of], part, ...);
end

--- The page behind `after`.
-- @param names  the tenant's domain and its rooms' component
-- @return the page; or nil, what went wrong, and the HTTP status
function _M.read(names, after, rows)
	local records;
	local take = collector(function (part, _, ...)
		local fields = table.pack(...);
		local count = #formats[parts[part].of]:gsub("[^s]", "");
		for i = 1, count do fields[i] = tostring(fields[i] or ""); end
		local text = record(part, table.unpack(fields, 1, count));
		records[#records + 1] = text;
		return #text;
	end);
	records = {};
	local cursor, err, status = walk(names, after, rows, take);
	if not cursor then return nil, err, status; end
	return magic..pack(">s4s4s4", names[1], after, cursor)..table.concat(records);
end

local function store_file(host, path, offset, data)
	if not path:find("^/[%w%%_/.-]+$") or path:find("..", 1, true) then error("not a file's path: "..path, 0); end
	local full = root_of(host)..path;
	lfs.mkdir(root_of(host));
	for folder in path:gmatch("()/") do
		if folder > 1 then lfs.mkdir(root_of(host)..path:sub(1, folder - 1)); end
	end
	local file = assert(io.open(full, offset == "0" and "wb" or "r+b"));
	file:seek("set", tonumber(offset));
	local ok, err = file:write(data);
	local closed, problem = file:close();
	if not (ok and closed) then error(err or problem, 0); end
end

local writers = {
	prosody = function (engine, host, user, store, key, kind, value)
		engine:insert(insert_row, host, user, store, key, kind, value);
	end,
	prosodyarchive = function (engine, host, user, store, key, when, with, kind, value)
		engine:insert(insert_message, host, user, store, tonumber(when), with, key, kind, value);
	end,
	files = function (_, ...) store_file(...); end,
};

local function store_records(engine, names, page, position)
	while position <= #page do
		local part = parts[page:byte(position)];
		local fields = table.pack(unpack(formats[part.of], page, position));
		position = fields[fields.n];
		writers[part.of](engine, names[part.host], table.unpack(fields, 2, fields.n - 1));
	end
end

--- Writes a page, if it is the one behind `cursor`.
-- @param note  function (next): stores the cursor of what is here then, in the same transaction
-- @return the cursor; or nil, what went wrong, and the HTTP status
function _M.write(names, cursor, page, note)
	local engine = database();
	if not engine then return nil, "Hosts can be moved only to storage that is a database: set STORAGE", 409; end
	if page:sub(1, #magic) ~= magic then
		return nil, "Not a page of this version: have both servers run the same", 400;
	end
	local read, domain, after, following, position = pcall(unpack, ">s4s4s4", page, #magic + 1);
	if not read or domain ~= names[1] then return nil, "Not a page of this host", 400; end
	if after ~= cursor then return nil, "Another page is due: ask where the move is", 409; end
	local failure;
	local ok, err = transaction(function ()
		local done, problem = engine:transaction(store_records, engine, names, page, position);
		if done then done, problem = note(following); end
		if not done then failure = tostring(problem); error(failure, 0); end
	end);
	if not ok then return nil, "The page could not be written: "..tostring(failure or err), 500; end
	return following;
end

--- What is counted of the records behind `after`: as many as are due in a slice. Sums, so those of all slices can be
-- added up; digests are sums of each record's, and a message's includes which one it follows.
-- @return { next, rows, messages, files, bytes, digest = { …, … } }; or nil, what went wrong, and the HTTP status
function _M.count(names, after, rows)
	local sums = { rows = 0, messages = 0, files = 0, bytes = 0 };
	local one, two = 0, 0;
	local take = collector(function (part, _, ...)
		local of, fields = parts[part].of, table.pack(...);
		for i = 1, fields.n do fields[i] = tostring(fields[i] or ""); end
		local text = pack(">I1"..("s4"):rep(fields.n), part, table.unpack(fields, 1, fields.n));
		local a, b = unpack(">i8i8", hashes.sha256(text));
		one, two = one + a, two + b;
		local kind = of == "prosody" and "rows" or of == "prosodyarchive" and "messages" or fields[2] == "0" and "files";
		if kind then sums[kind] = sums[kind] + 1; end
		sums.bytes = sums.bytes + #fields[#fields - (of == "prosodyarchive" and 1 or 0)];
		return #text;
	end);
	local cursor, err, status = walk(names, after, rows, take);
	if not cursor then return nil, err, status; end
	sums.next, sums.digest = cursor, ("%016x%016x"):format(one, two);
	return sums;
end

return _M;
