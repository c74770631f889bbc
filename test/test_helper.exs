# Some tests need a network or files of their own (a namespace) or a program that only Debian's root has. Where these
# are not to be had, the tests stay out, and one line says so.
available? = fn command, arguments ->
  System.find_executable(command) != nil and
    match?({_, 0}, System.cmd(command, arguments, stderr_to_stdout: true))
end

needs = [
  netns:
    {"network and mount namespaces (root on Linux, and not in a chroot)",
     available?.("unshare", ["-n", "-m", "true"])},
  fuse:
    {"/dev/fuse (root on Linux)", available?.("unshare", ["-m", "sh", "-c", "exec 3<>/dev/fuse"])},
  setpriv:
    {"setpriv (root on Linux)",
     available?.("setpriv", ["--bounding-set", "-dac_override", "true"])},
  dnsmasq: {"dnsmasq", System.find_executable("dnsmasq") != nil}
]

# Newer Mix leaves out what no application names; only these tests make certificates.
if function_exported?(Mix, :ensure_application!, 1),
  do: apply(Mix, :ensure_application!, [:public_key])

missing = for {tag, {what, false}} <- needs, do: {tag, what}

for {tag, what} <- missing do
  IO.puts("Excluding tests tagged #{inspect(tag)}: no #{what} here")
end

ExUnit.start(capture_log: true, exclude: Keyword.keys(missing))
