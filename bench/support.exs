# What the benchmarks share. Each of them begins with `Code.require_file("support.exs", __DIR__)`.

for file <- ~w(samples table footprint addresses) do
  Code.require_file("support/#{file}.ex", __DIR__)
end

# The servers of the tests will do here too; each file depends only on those before it.
for file <- ~w(await ports os_process dnsmasq scripted_dns silent_port) do
  Code.require_file("../test/support/#{file}.ex", __DIR__)
end

for file <- ~w(lookups other_vm servers hostile_dns) do
  Code.require_file("support/#{file}.ex", __DIR__)
end
