defmodule DNSMesh.Doctor.Searched do
  @moduledoc false
  # Names that were asked for under a search domain of /etc/resolv.conf. With `ndots:5`, as in Kubernetes, that comes before
  # the name as written, though that be a full one: a wildcard there answers in its place, a silent one takes its time. Pure.

  alias DNSMesh.{Answer, Lookups}
  alias DNSMesh.Doctor.Facts

  @doc "The name that was asked for at last, where it is not the one that is written; else `nil`."
  @spec asked_as(Facts.lookup()) :: String.t() | nil
  def asked_as(%{query: %{host: host}, result: {_, %{name: name}}})
      when is_binary(host) and is_binary(name) do
    same? = String.downcase(name) == host |> String.trim_trailing(".") |> String.downcase()
    if same? or name == "", do: nil, else: name
  end

  def asked_as(_by_no_name), do: nil

  @doc "The search domain that made this name."
  @spec domain(Facts.lookup()) :: String.t()
  def domain(%{query: %{host: host}} = lookup),
    do:
      binary_part(
        asked_as(lookup),
        byte_size(host) + 1,
        byte_size(asked_as(lookup)) - byte_size(host) - 1
      )

  @doc "Whether the name as written gives records, and others than those that came."
  @spec answers_for_name?(Facts.lookup()) :: boolean()
  def answers_for_name?(%{result: {:ok, answer}, as_written: {:ok, other}} = lookup) do
    asked_as(lookup) != nil and Answer.addresses(other) != [] and
      Enum.sort(Answer.addresses(answer)) != Enum.sort(Answer.addresses(other))
  end

  def answers_for_name?(_lookup), do: false

  @doc "Whether the trouble is with the search domain alone: about the name as written the name server has its say."
  @spec hides_name?(Facts.lookup()) :: boolean()
  def hides_name?(%{result: {:error, failure}, as_written: as_written} = lookup) do
    asked_as(lookup) != nil and not Lookups.nobody?(failure) and
      case as_written do
        {:ok, _answer} -> true
        {:error, other} -> Lookups.nobody?(other)
        nil -> false
      end
  end

  def hides_name?(_lookup), do: false
end
