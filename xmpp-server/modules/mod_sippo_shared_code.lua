--- The hosts share the code of their modules.
--
-- Prosody reads and compiles each module and each library anew for each host that loads it: 80 modules, most of what a
-- tenant costs. Here a file is read once, and compiled once, to a function that takes the environment; what a host has
-- of its own is that environment and what the code makes in it. A changed file counts from the next start on.
-- Load it globally.

module:set_global();

local loader = require "core.modulemanager".loader;

local files = {}; -- [name] = { instantiate = function, path, metadata }

--- The code of a file, to run in an environment; its path; its metadata. Or nil and what is wrong.
-- @param read  returns the file's content, path and metadata
local function share(name, env, read)
	local file = files[name];
	if not file then
		local content, path, metadata = read();
		if not content then return nil, path; end
		-- In one line with its first, so that lines keep their numbers
		local make, err = load("return function (_ENV, ...) "..content.."\nend", "@"..path);
		if not make then return nil, err; end
		file = { instantiate = make, path = path, metadata = metadata };
		files[name] = file;
	end
	local code = file.instantiate();
	return function (...) return code(env, ...); end, file.path, file.metadata;
end

function loader:load_code(plugin, resource, env)
	return share(plugin.."\0"..(resource or ""), env, function () return self:load_resource(plugin, resource); end);
end

function loader:load_code_ext(plugin, resource, extension, env)
	return share(plugin.."\0"..resource.."\0"..extension, env, function ()
		local content, path, metadata = self:load_resource(plugin, resource.."."..extension);
		if not content and extension == "lib.lua" then
			content, path, metadata = self:load_resource(plugin, resource..".lua");
		end
		if not content then content, path, metadata = self:load_resource(resource, resource.."."..extension); end
		return content, path, metadata;
	end);
end

function module.unload()
	loader.load_code, loader.load_code_ext = nil, nil; -- the class's are back
end
