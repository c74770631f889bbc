defmodule DNSMesh.Secret do
  @moduledoc false
  # A text that nobody may read in a log, a state, a child specification or a crash report, in whatever form it is printed:
  # a ticket is kept and handed on in its place, and what that stands for is elsewhere in the VM.
  #
  # Not in a fun: that is code of a module, and who holds one is killed when the module is loaded anew for the second time.

  @enforce_keys [:ticket]
  defstruct [:ticket]

  @type t :: %__MODULE__{ticket: reference()}

  @doc "The ticket for a secret; the same one for the same secret."
  @spec hide(term()) :: t()
  def hide(%__MODULE__{} = hidden), do: hidden

  def hide(secret) do
    tickets = :persistent_term.get({__MODULE__, :tickets}, %{})

    case tickets do
      %{^secret => ticket} ->
        %__MODULE__{ticket: ticket}

      _new ->
        ticket = make_ref()

        # By itself: of two that come at the same time one is lost from the list, which costs a second ticket.
        :persistent_term.put({__MODULE__, ticket}, secret)
        :persistent_term.put({__MODULE__, :tickets}, Map.put(tickets, secret, ticket))
        %__MODULE__{ticket: ticket}
    end
  end

  @doc "What the ticket is for; anything else is no secret."
  @spec reveal(t() | term()) :: term()
  def reveal(%__MODULE__{ticket: ticket}), do: :persistent_term.get({__MODULE__, ticket})
  def reveal(plain), do: plain

  defimpl Inspect do
    def inspect(_secret, _opts), do: "#DNSMesh.Secret<not shown>"
  end
end
