defmodule DNSMesh.Native do
  @moduledoc false
  # The stubs of the Rust library, in the order of native/dns_mesh_nif/src/lib.rs. Nobody but DNSMesh.Resolver
  # and DNSMesh.NodeName calls them.
  #
  # Loading never fails the module: a release in embedded mode loads every module at boot, also in a VM that has no
  # query and will never ask, and a failed @on_load there would stop the boot. The outcome is kept and
  # `DNSMesh.start_link/1` turns it into a sentence.

  @on_load :load

  @type handle :: reference()
  @type settings :: %{
          nameservers: [{:inet.ip_address(), :inet.port_number()}],
          resolv_conf: String.t(),
          hosts: String.t(),
          # Of the hosts that are found.
          epmd_port: 1..65_535
        }

  @doc false
  @spec load() :: :ok
  def load do
    path = library_path()
    :persistent_term.put({__MODULE__, :load}, load_result(:erlang.load_nif(path, 0), path))
    :ok
  end

  # What became of loading the library: `:ok`, or the loader's own words and the file they are about.
  @spec loaded() :: :ok | {:error, {text :: String.t(), path :: String.t()}}
  def loaded, do: :persistent_term.get({__MODULE__, :load})

  @spec resolver_open(settings()) :: {:ok, handle()}
  def resolver_open(_settings), do: :erlang.nif_error(:nif_not_loaded)

  # What is asked about each address found: its host name, the names its epmd has registered.
  @type follow :: [:hosts | :registered]

  # Returns at once; later the caller gets exactly one `{ref, {:ok, answer} | {:error, failure}}`.
  @spec lookup(
          handle(),
          reference(),
          :a | :aaaa | :srv,
          [:inet | :inet6],
          follow(),
          String.t(),
          pos_integer()
        ) :: :ok
  def lookup(_handle, _ref, _type, _families, _follow, _name, _timeout),
    do: :erlang.nif_error(:nif_not_loaded)

  # A node that might be joined: where, by which basename its host's epmd knows it, or its port.
  @type target :: {
          id :: term(),
          basename :: String.t(),
          :inet.ip_address() | {host :: String.t(), :inet | :inet6},
          :epmd | 1..65_535
        }

  @type verdict ::
          {:ok, :inet.port_number()}
          | {:dead, :refused_epmd | :not_registered | :refused}
          | {:silent, :name | :epmd | :port | :not_tried}

  # As `lookup/7`: exactly one `{ref, {:ok, [{id, verdict}]} | {:error, failure}}`, in the order of the targets.
  @spec probe(handle(), reference(), [target()], non_neg_integer()) :: :ok
  def probe(_handle, _ref, _targets, _timeout), do: :erlang.nif_error(:nif_not_loaded)

  @type greeting ::
          {:welcome, :visible | :hidden, :proved | :unproved}
          | {:other_name, String.t()}
          | :wrong_cookie
          | :not_allowed
          | :busy
          | :tls
          | :no_node
          | :silent
          | :not_tried

  # As `probe/4`, about the handshake of distribution.
  @spec greet(
          reference(),
          [{id :: term(), name :: String.t(), :inet.ip_address(), 1..65_535}],
          {name :: String.t(), cookie :: binary() | nil},
          non_neg_integer()
        ) :: :ok
  def greet(_ref, _targets, _caller, _timeout), do: :erlang.nif_error(:nif_not_loaded)

  @spec check_name(String.t()) :: :ok | {:error, {:bad_name, atom()}}
  def check_name(_name), do: :erlang.nif_error(:nif_not_loaded)

  @spec interfaces() :: {:ok, [{String.t(), :inet.ip_address(), 0..128}]} | {:error, String.t()}
  def interfaces, do: :erlang.nif_error(:nif_not_loaded)

  @typedoc "What to choose this machine's own address by; an answer for each query item that counts, in order."
  @type own_address_request :: %{
          option:
            nil
            | {:literal, :inet.ip_address()}
            | {:interface, String.t()}
            | {:subnet, {:inet.ip_address(), 0..128}},
          family: :inet | :inet6 | nil,
          answers: [[:inet.ip_address()]],
          hints: [String.t()]
        }

  @type candidate :: %{ip: :inet.ip_address(), interface: String.t()}

  @spec own_address(own_address_request()) ::
          {:ok,
           %{
             ip: :inet.ip_address(),
             interface: String.t(),
             because: :option | :in_answer | :route_to_peer | :platform_hint | :only_address
           }}
          | {:undecided, [candidate(), ...]}
          | {:error,
             {:not_local | :wrong_family | :no_interface | :no_subnet | :interfaces, String.t()}
             | :no_address}
  def own_address(_request), do: :erlang.nif_error(:nif_not_loaded)

  @spec node_name(String.t(), :inet.ip_address()) ::
          {:ok, String.t()} | {:error, {:bad_basename, binary()}}
  def node_name(_basename, _ip), do: :erlang.nif_error(:nif_not_loaded)

  defp library_path do
    # The application may not be loaded yet (mix run --no-start), its ebin is on the path all the same.
    case :code.priv_dir(:dns_mesh) do
      {:error, :bad_name} ->
        :filename.join([:filename.dirname(:code.which(__MODULE__)), ~c"..", ~c"priv"])

      priv ->
        priv
    end
    |> :filename.join(~c"native/libdns_mesh_nif")
  end

  defp load_result(:ok, _path), do: :ok

  # A second load of the same module in one VM: the first library is still mapped and goes on working.
  defp load_result({:error, {:reload, _text}}, _path), do: :ok

  defp load_result({:error, {_kind, text}}, path),
    do: {:error, {List.to_string(text), "#{path}.so"}}
end
