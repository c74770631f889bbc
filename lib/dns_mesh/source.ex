defmodule DNSMesh.Source do
  @moduledoc """
  A list of nodes that does not come from DNS.

  An item `{MySource, arg}` in `:query`, alone or in a list, has DNSMesh call `MySource.discover(arg, context)` at every
  poll, as it asks DNS for the other items. `DNSMesh.Directory` is one; the guide on sources has another, in 20 lines.

      children = [
        {DNSMesh, query: [{MyApp.NodeFile, "/etc/my_app/nodes"}, "app.internal"]}
      ]

  ## What its answer means

    * `{:ok, names}` - these nodes, each a string or an atom like `"app@10.0.0.5"`. `{:ok, []}` says that there is
      nobody, as a DNS name without records does.
    * `{:error, reason}` - no answer. It says nothing about anybody: whoever is known stays known and is still dialled.
      Never give `{:ok, []}` for a list that could not be read.
    * `{:partial, names, reason}` - these nodes, and yet something is wrong. The names count as with `{:ok, names}`;
      the reason is told. Without any name it is an error.

  The reason is a string for people (it stands behind a colon: no capital letter, no full stop), or an atom of the
  operating system's such as `:enoent`, which is put into words; an exception's message and other terms are shown too.

  No answer ever ends a link. A name that is no longer listed is forgotten after max(10 intervals, 60 s), and only if it
  is not connected.

  The names then go where those of DNS go: a host name is looked up, the addresses must lie in `:allow`, and the budgets
  hold. What cannot be a node's name is left out and counted (`{:junk_names, count}` in `DNSMesh.Error`), as is what goes
  beyond 4 096 names. None of it becomes an atom, so a source may well return what strangers wrote.

  ## Where it runs

  In a process of its own, for each call a new one, linked to nobody. It may block, crash or take long: that costs this
  item this round, and nothing else. At the deadline, `context.timeout`, it is killed. A call begins only when the one
  before is over. So a source that needs a connection, or a memory, keeps it in a process of the application.
  """

  @typedoc "A node's name, `\"app@10.0.0.5\"` or `:\"app@10.0.0.5\"`."
  @type name :: String.t() | atom()

  @typedoc """
  What the caller tells:

    * `:mesh` - the name of the DNSMesh instance (`:name`).
    * `:node` - this node's name, `nil` as long as it has none.
    * `:interval` - milliseconds between two polls.
    * `:timeout` - milliseconds a call may take.
  """
  @type context :: %{
          mesh: atom(),
          node: String.t() | nil,
          interval: pos_integer(),
          timeout: pos_integer()
        }

  @doc "The nodes there are. Called at every poll; see above for what its answers mean."
  @callback discover(arg :: term(), context()) ::
              {:ok, [name()]}
              | {:partial, [name()], reason :: term()}
              | {:error, reason :: term()}

  @doc """
  Checks the `arg` of the item, and may give it another form for the other functions.

  Called in `DNSMesh.start_link/1`, which raises an `ArgumentError` with the text. Say in it what was expected and what
  was got.
  """
  @callback validate(arg :: term()) :: {:ok, term()} | {:error, String.t()}

  @doc """
  Called when DNSMesh is stopped in good order (not when it is killed), for instance to take this node off a list.

  It runs as `c:discover/2` does, for a second at most. What it returns means nothing.
  """
  @callback leave(arg :: term(), context()) :: term()

  @optional_callbacks validate: 1, leave: 2
end
