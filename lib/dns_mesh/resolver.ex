defmodule DNSMesh.Resolver do
  @moduledoc false
  # Asking the native resolver: what goes in, and what its one message means. The Rust side keeps the deadline.

  alias DNSMesh.{Answer, Epmd, Inetrc, IP, Native}

  @type type :: :a | :aaaa | :srv
  @type failure :: %{
          required(:reason) => DNSMesh.Error.reason(),
          required(:server) => String.t() | nil,
          optional(atom()) => term()
        }
  @type result :: {:ok, Answer.t()} | {:error, failure()}

  # What the caller waits beyond the deadline that Rust keeps, before it takes the reply for lost.
  @grace 1_000

  @doc "Whether the library is there; else a sentence that says what to do."
  @spec ready() :: :ok | {:error, String.t()}
  def ready do
    case Native.loaded() do
      :ok -> :ok
      {:error, {text, path}} -> {:error, not_loaded(text, path, File.exists?(path))}
    end
  end

  # Without the library there is nothing to check by; its absence is said where it is needed, in `ready/0`.
  @spec check_name(term()) :: :ok | {:error, {:bad_name, DNSMesh.Error.name_fault()}}
  def check_name(name) when is_binary(name),
    do: if(Native.loaded() == :ok, do: Native.check_name(name), else: :ok)

  def check_name(_other), do: {:error, {:bad_name, :not_a_string}}

  @files %{resolv_conf: "/etc/resolv.conf", hosts: "/etc/hosts"}

  @type files :: %{:resolv_conf => String.t(), :hosts => String.t(), optional(atom()) => term()}

  @typedoc "What is asked, and how it was opened: a handle ends with the library that it is of."
  @type t :: {Native.handle(), Native.settings()}

  @spec open([{IP.t(), :inet.port_number()}], files()) :: t()
  def open(nameservers, files \\ @files), do: nameservers |> settings(files) |> open_as()

  @doc """
  By what is asked. Name servers that are given come before those of ERL_INETRC's file, and these before resolv.conf's;
  its search domains take the place of resolv.conf's, its hosts come before those of the hosts file.
  """
  @spec settings([{IP.t(), :inet.port_number()}], files()) :: Native.settings()
  def settings(nameservers, files) do
    rc = Inetrc.read()

    %{
      nameservers: if(nameservers == [], do: rc.nameservers, else: nameservers),
      resolv_conf: file(:resolv_conf, files, rc.resolv_conf),
      hosts: file(:hosts, files, rc.hosts_file),
      more_resolv_conf: Inetrc.search_line(rc),
      more_hosts: Inetrc.host_lines(rc),
      epmd_port: Epmd.port()
    }
  end

  # Tests have files of their own, and mean them.
  defp file(which, files, other) do
    case Map.fetch!(files, which) do
      path when path == :erlang.map_get(which, @files) -> other || path
      path -> path
    end
  end

  defp open_as(settings) do
    {:ok, handle} = Native.resolver_open(settings)
    {handle, settings}
  end

  # Code that was deleted, purged and loaded again has another library than the one that the handle is of.
  defp begin({handle, settings}, ask) do
    ask.(handle)
  rescue
    ArgumentError ->
      {handle, _settings} = open_as(settings)
      ask.(handle)
  end

  @doc """
  Asks, and returns at once. The caller gets exactly one `{ref, reply}`, which `result/1` reads. `follow` is what else
  is asked, within the same `timeout`, about each address found.
  """
  @spec ask(t(), type(), [family], String.t(), pos_integer(), Native.follow()) :: reference()
        when family: :inet | :inet6
  def ask(resolver, type, families, host, timeout, follow \\ []) do
    ref = make_ref()
    :ok = begin(resolver, &Native.lookup(&1, ref, type, families, follow, host, timeout))
    ref
  end

  @doc """
  Tries whether each target could be joined, as far as a TCP connection to its distribution port tells, and returns at
  once. The caller gets exactly one `{ref, {:ok, [{id, verdict}]}}` by `timeout`, in the order of the targets
  (`{:error, failure}` when the library itself failed). A connection that is made is closed without a byte.

    * `{:ok, port}` - that port took the connection;
    * `{:dead, why}` - the host answered, the node is not there: `:refused_epmd` (nobody at epmd's port, or no epmd),
      `:not_registered` (epmd knows no such basename), `:refused` (nobody at the node's port);
    * `{:silent, where}` - nothing is known of the node: `:name` (its host has no address, or the lookup failed),
      `:epmd`, `:port` (no answer within 1.5 s, or no way there), `:not_tried`.

  At most 16 at a time for each resolver. Each target gets a fair part of the time, at least 300 ms; those that had none
  are `:not_tried`, and the next call begins with them.
  """
  @spec probe(t(), [Native.target()], non_neg_integer()) :: reference()
  def probe(resolver, targets, timeout) do
    ref = make_ref()
    :ok = begin(resolver, &Native.probe(&1, ref, targets, timeout))
    ref
  end

  @doc """
  Begins the handshake of distribution with each target, under the name of the caller and as a hidden node, and returns
  at once. The caller gets exactly one `{ref, {:ok, [{id, greeting}]}}` by `timeout`.

    * `{:welcome, :visible | :hidden, :proved | :unproved}` - it is that node, and takes the cookie (or there was none to
      prove);
    * `:wrong_cookie`, `{:other_name, name}`, `:not_allowed` (by `net_kernel:allow/1`), `:tls`, `:no_node` (something else
      than a node, or nobody) - why it would be no peer;
    * `:busy`, `:silent`, `:not_tried` - nothing is known of it.

  A wrong cookie leaves a line in the log of the target, as with any dial.
  """
  @spec greet([{term(), String.t(), IP.t(), 1..65_535}], {String.t(), binary() | nil}, timeout) ::
          reference()
        when timeout: non_neg_integer()
  def greet(targets, caller, timeout) do
    ref = make_ref()
    :ok = Native.greet(ref, targets, caller, timeout)
    ref
  rescue
    # Without the stack trace, in which the arguments stand, and the cookie among them.
    error -> reraise(error, [])
  end

  @spec result({:ok, map()} | {:error, failure()}) :: result()
  def result({:ok, %{truncated: truncated?} = answer}) do
    answer =
      Map.merge(answer, %{hosts: Map.new(answer.hosts), registered: Map.new(answer.registered)})

    {:ok, struct!(Answer, answer |> Map.delete(:truncated) |> Map.put(:truncated?, truncated?))}
  end

  def result({:error, failure}), do: {:error, failure}

  @doc "How long to wait for a reply that Rust owes at its deadline."
  @spec patience(pos_integer()) :: pos_integer()
  def patience(timeout), do: timeout + @grace

  @doc """
  Asks and waits, from a process of its own: a reply that comes too late must not end up in the caller's mailbox.
  """
  @spec lookup(String.t(), type(), [{IP.t(), :inet.port_number()}], pos_integer()) :: result()
  def lookup(host, type, nameservers, timeout) do
    {pid, monitor} =
      spawn_monitor(fn ->
        ref = ask(open(nameservers), type, [:inet, :inet6], host, timeout)

        receive do
          {^ref, reply} -> exit({:shutdown, result(reply)})
        after
          patience(timeout) -> exit({:shutdown, {:error, %{reason: :lost_reply, server: nil}}})
        end
      end)

    receive do
      {:DOWN, ^monitor, :process, ^pid, {:shutdown, result}} -> result
      {:DOWN, ^monitor, :process, ^pid, _died} -> {:error, %{reason: :lost_reply, server: nil}}
    end
  end

  @type address_request :: %{
          option: nil | {:literal, IP.t()} | {:interface, String.t()} | {:subnet, IP.cidr()},
          family: :inet | :inet6 | nil,
          # One list for each query item that counts, in the order of the query.
          answers: [[IP.t()]],
          # What the platform's environment variables say, as text.
          hints: [String.t()]
        }

  @doc "This node's own address, by the ladder of own_address.rs."
  @spec own_address(address_request()) ::
          {:ok, DNSMesh.Naming.address()}
          | {:undecided, [map()]}
          | {:error, DNSMesh.Error.reason()}
  def own_address(request), do: Native.own_address(request)

  @doc "This machine's own addresses."
  @spec own_addresses() :: [IP.t()]
  def own_addresses do
    case Native.interfaces() do
      {:ok, interfaces} -> for {_name, ip, _prefix} <- interfaces, uniq: true, do: ip
      # Nothing known of ourselves: peers are then told from us by the node name alone.
      {:error, _text} -> []
    end
  end

  @doc "This machine's addresses, each with the length of its network's prefix."
  @spec own_networks() :: [IP.cidr()]
  def own_networks do
    with {:ok, interfaces} <- Native.interfaces() do
      for {_name, ip, prefix} <- interfaces, uniq: true, do: {ip, prefix}
    else
      {:error, _text} -> []
    end
  end

  @doc "The name of the interface that holds an address; `nil` where none does (all of 127.0.0.0/8 is local on Linux)."
  @spec interface_of(IP.t()) :: String.t() | nil
  def interface_of(ip) do
    with {:ok, interfaces} <- Native.interfaces() do
      Enum.find_value(interfaces, fn {name, own, _prefix} -> if own == ip, do: name end)
    else
      {:error, _text} -> nil
    end
  end

  defp not_loaded(text, path, exists?) do
    what =
      cond do
        archive = Native.archive() ->
          "it would lie inside #{archive}, and no system loads a library from within a file: an escript, or an archive of Mix, " <>
            "cannot carry DNSMesh; run the project as a release (mix release), or with mix run --no-halt"

        not exists? ->
          "it is not there; run `mix deps.compile dns_mesh --force` (or `mix compile --force`) and build the release anew"

        text =~ "GLIBC" or text =~ "musl" or text =~ "ld-linux" or text =~ "symbol not found" ->
          "it was built for another C library (glibc here, musl there, or a newer glibc); build it on the system it runs on"

        text =~ "libgcc_s" ->
          "the system lacks libgcc_s.so.1; install libgcc (Debian: libgcc-s1, Alpine: libgcc)"

        true ->
          "build it anew on this system with `mix deps.compile dns_mesh --force`"
      end

    "DNSMesh cannot load its native library #{path}: #{what}. The loader said: #{text}"
  end
end
