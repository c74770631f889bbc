defmodule DNSMesh.Inetrc do
  @moduledoc false
  # The file in which a VM is told by what to resolve names: that of `ERL_INETRC`, or of the kernel's `inetrc`. `:inet_res`
  # heeds it, so whoever comes from there expects it: its `nameserver`, `search`, `domain`, `host`, `resolv_conf` and
  # `hosts_file` lines count here as well; how to look up (`lookup`, `edns`, `timeout`, …) is `:inet`'s business alone.
  #
  # It is read as it stands, not from the VM's tables: OTP puts the servers of /etc/resolv.conf over those it names as
  # soon as it asks for the first time.

  alias DNSMesh.IP

  defstruct path: nil, nameservers: [], search: nil, hosts: [], resolv_conf: nil, hosts_file: nil

  @type t :: %__MODULE__{
          # Where there is one that names servers or search domains.
          path: String.t() | nil,
          nameservers: [{IP.t(), :inet.port_number()}],
          search: [String.t()] | nil,
          hosts: [{IP.t(), [String.t()]}],
          resolv_conf: String.t() | nil,
          hosts_file: String.t() | nil
        }

  @doc "What it says; nothing where there is none, or the VM could not read it either."
  @spec read() :: t()
  def read do
    with path when path != nil <- path(),
         {:ok, terms} <- :file.consult(path) do
      parse(terms, path)
    else
      _none -> %__MODULE__{}
    end
  end

  # In OTP's order.
  defp path do
    case :application.get_env(:kernel, :inetrc) do
      {:ok, path} -> to_string(path)
      :undefined -> System.get_env("ERL_INETRC")
    end
  rescue
    # No text at all; the VM has complained.
    _error -> nil
  end

  @doc "The meaning of its terms."
  @spec parse([term()], path :: String.t()) :: t()
  def parse(terms, path) do
    rc = Enum.reduce(terms, %__MODULE__{}, &term/2)

    if rc.nameservers != [] or rc.search != nil,
      do: %{rc | path: path},
      else: rc
  end

  defp term({kind, ip}, rc) when kind in [:nameserver, :alt_nameserver],
    do: term({kind, ip, 53}, rc)

  defp term({kind, ip, port}, rc)
       when kind in [:nameserver, :alt_nameserver] and port in 1..65_535 do
    if IP.ip?(ip), do: %{rc | nameservers: rc.nameservers ++ [{ip, port}]}, else: rc
  end

  defp term({:search, domains}, rc) when is_list(domains) do
    %{rc | search: for(domain <- domains, text = word(domain), do: text)}
  end

  # As in resolv.conf, the last of the two counts.
  defp term({:domain, domain}, rc),
    do: if(text = word(domain), do: %{rc | search: [text]}, else: rc)

  defp term({:host, ip, names}, rc) when is_list(names) do
    with true <- IP.ip?(ip),
         [_ | _] = names <- for(name <- names, text = word(name), do: text) do
      %{rc | hosts: rc.hosts ++ [{ip, names}]}
    else
      _nothing_to_say -> rc
    end
  end

  defp term({:resolv_conf, path}, rc), do: %{rc | resolv_conf: word(path)}
  defp term({:hosts_file, path}, rc), do: %{rc | hosts_file: word(path)}
  defp term({:file, :resolv, path}, rc), do: %{rc | resolv_conf: word(path)}
  defp term({:file, :hosts, path}, rc), do: %{rc | hosts_file: word(path)}
  defp term(:clear_ns, rc), do: %{rc | nameservers: []}
  defp term(:clear_search, rc), do: %{rc | search: nil}
  defp term(:clear_hosts, rc), do: %{rc | hosts: []}
  defp term(_other, rc), do: rc

  # What can stand in a line of such a file, and means one thing there.
  defp word(text) do
    text = to_string(text)
    if text =~ ~r/\A[^\s#;]+\z/u, do: text
  rescue
    _no_text -> nil
  end

  @doc "Its search domains as a line of resolv.conf."
  @spec search_line(t()) :: String.t()
  def search_line(%{search: nil}), do: ""
  def search_line(%{search: domains}), do: "search #{Enum.join(domains, " ")}\n"

  @doc "Its hosts as lines of a hosts file."
  @spec host_lines(t()) :: String.t()
  def host_lines(%{hosts: hosts}),
    do: for({ip, names} <- hosts, into: "", do: "#{IP.to_text(ip)} #{Enum.join(names, " ")}\n")
end
