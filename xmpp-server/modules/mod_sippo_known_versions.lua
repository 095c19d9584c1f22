--- Says at start when this Prosody is of a version that these modules are not known to work with. Load it globally.

module:set_global();

local known = { "0.12", "13.0" }; -- as README.md of the repository has them

local version = tostring(prosody.version);

for _, series in ipairs(known) do
	if version == series or version:sub(1, #series + 1) == series.."." then return; end
end
module:log("warn", "Prosody %s is not known to work with this configuration; versions known to work: %s (README.md)",
	version, table.concat(known, ", "));
