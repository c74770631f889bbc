defmodule DNSMesh.Native do
  @moduledoc false
  # The stubs of the Rust library, in the order of native/dns_mesh_nif/src/lib.rs. Nobody but DNSMesh.Resolver
  # and DNSMesh.NodeName calls them.
  #
  # A library that cannot be loaded does not fail the module: a release in embedded mode loads every module at boot, also
  # in a VM that has no query and will never ask, and a failed @on_load there would stop the boot. The outcome is kept and
  # `DNSMesh.start_link/1` turns it into a sentence.
  #
  # A module that is loaded anew does fail (l/1, r/1, a tool that loads all there is): the VM runs one version of a library
  # and takes no other. The code server then keeps the module that runs, with its library, and says so in one line. Without
  # that the stubs below would be all that is left.

  @on_load :load

  @library ~c"native/libdns_mesh_nif"

  @type handle :: reference()
  @type settings :: %{
          nameservers: [{:inet.ip_address(), :inet.port_number()}],
          resolv_conf: String.t(),
          hosts: String.t(),
          # Lines that stand behind those of resolv.conf, and before those of the hosts file.
          more_resolv_conf: String.t(),
          more_hosts: String.t(),
          # Of the hosts that are found.
          epmd_port: 1..65_535
        }

  # The code server says nothing of an atom, and cuts all else short than an atom in a tuple.
  @in_use :"the native library of DNSMesh is in use and stays as it is; a VM that is started anew loads the new one"

  @doc false
  @spec load() :: :ok | {atom()}
  def load do
    path = library_path()

    case load_library(path) do
      {:error, {:upgrade, _text}} ->
        {@in_use}

      result ->
        :persistent_term.put({__MODULE__, :load}, load_result(result, path))
        :ok
    end
  end

  # A module that has been deleted, as Mix does before it compiles one anew, holds its library until it is purged. Nobody
  # can call it any more, so there is nothing to keep.
  defp load_library(path) do
    with {:error, {:upgrade, _text}} = in_use <- :erlang.load_nif(path, 0) do
      if :code.is_loaded(__MODULE__) do
        in_use
      else
        _ = :code.purge(__MODULE__)
        :erlang.load_nif(path, 0)
      end
    end
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

  # The library says `:many` where this machine has so many addresses that they are to be looked at on a dirty scheduler.
  @spec interfaces() :: {:ok, [{String.t(), :inet.ip_address(), 0..128}]} | {:error, String.t()}
  def interfaces, do: with(:many <- few_interfaces(), do: many_interfaces())

  @spec few_interfaces() ::
          {:ok, [{String.t(), :inet.ip_address(), 0..128}]} | {:error, String.t()} | :many
  def few_interfaces, do: :erlang.nif_error(:nif_not_loaded)

  @spec many_interfaces() ::
          {:ok, [{String.t(), :inet.ip_address(), 0..128}]} | {:error, String.t()}
  def many_interfaces, do: :erlang.nif_error(:nif_not_loaded)

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

  @type own_address ::
          {:ok,
           %{
             ip: :inet.ip_address(),
             interface: String.t(),
             because: :option | :in_answer | :route_to_peer | :platform_hint | :only_address
           }}
          | {:undecided, [candidate(), ...]}
          | {:error,
             {:not_local | :wrong_family | :no_interface | :no_subnet | :interfaces, String.t()}
             | {:wrong_proto, :inet | :inet6}
             | :no_address}

  @spec own_address(own_address_request()) :: own_address()
  def own_address(request),
    do: with(:many <- few_own_address(request), do: many_own_address(request))

  @spec few_own_address(own_address_request()) :: own_address() | :many
  def few_own_address(_request), do: :erlang.nif_error(:nif_not_loaded)

  @spec many_own_address(own_address_request()) :: own_address()
  def many_own_address(_request), do: :erlang.nif_error(:nif_not_loaded)

  @spec node_name(String.t(), :inet.ip_address()) ::
          {:ok, String.t()} | {:error, {:bad_basename, binary()}}
  def node_name(_basename, _ip), do: :erlang.nif_error(:nif_not_loaded)

  # Beside the folder that this module comes from, whatever that is called. By the application's name OTP would look for a
  # folder of that name in the code path, which the current folder is part of: a checkout called dns_mesh.
  defp library_path do
    case beam() do
      [_ | _] = beam -> beam |> :filename.absname() |> beside()
      # From memory, and no file of it anywhere: all that is left is the name.
      _none -> :filename.join(priv(), @library)
    end
  end

  # A module that is being loaded for the first time is looked for in the code path, as the code server has just done. One
  # that Cover compiled or that came over the network has been loaded from no file.
  defp beam do
    case :code.which(__MODULE__) do
      [_ | _] = file -> file
      _no_file -> :code.where_is_file(~c"#{__MODULE__}.beam")
    end
  end

  defp beside(beam) do
    ebin = :filename.dirname(beam)

    # `-pa .`: the folder above is not in the text.
    if :filename.basename(ebin) in [~c".", ~c".."],
      do: :filename.join([ebin, ~c"..", ~c"priv", @library]),
      else: :filename.join([:filename.dirname(ebin), ~c"priv", @library])
  end

  # The file that this module lies in together with others, an escript or an archive, where it comes from one.
  @spec archive() :: String.t() | nil
  def archive do
    with [_ | _] = beam <- :code.which(__MODULE__),
         beam = :filename.absname(beam),
         above = Stream.iterate(beam, &:filename.dirname/1),
         file when file != beam <- Enum.find(above, &:filelib.is_file/1),
         false <- :filelib.is_dir(file) do
      path(file)
    else
      _a_file_of_its_own -> nil
    end
  end

  defp priv do
    with {:error, :bad_name} <- :code.priv_dir(:dns_mesh), do: ~c"priv"
  end

  defp load_result(:ok, _path), do: :ok

  defp load_result({:error, {_kind, text}}, path),
    do: {:error, {text(text), path(path) <> ".so"}}

  # As the file system has it. Where the VM takes names for Latin-1, the bytes of UTF-8 came in one by one.
  defp path(path) do
    if :file.native_name_encoding() == :latin1,
      do: :erlang.list_to_binary(path),
      else: List.to_string(path)
  end

  # The loader's words are bytes, whatever the VM takes names for.
  defp text(bytes) do
    text = :erlang.list_to_binary(bytes)
    if String.valid?(text), do: text, else: List.to_string(bytes)
  rescue
    ArgumentError -> List.to_string(bytes)
  end
end
