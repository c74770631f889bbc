defmodule DNSMesh.Doctor.Words.Phrases do
  @moduledoc false
  # What several sentences are made of. Pure.

  alias DNSMesh.{Answer, IP}
  alias DNSMesh.Doctor.Facts

  @doc "How to have every node speak the IP version."
  @spec boot_for(:inet | :inet6) :: String.t()
  def boot_for(:inet6),
    do:
      "boot every node for IPv6: ERL_AFLAGS=\"-proto_dist inet6_tcp\" (a release's env.sh of mix dns_mesh.gen.env sees to it)."

  def boot_for(:inet),
    do:
      "boot every node for IPv4: without -proto_dist inet6_tcp in ERL_AFLAGS, ERL_FLAGS, ELIXIR_ERL_OPTIONS and vm.args."

  @doc "What each item lists."
  @spec listed(Facts.t()) :: String.t()
  def listed(facts) do
    for %{query: query, type: type, result: {:ok, %{records: [_ | _]} = answer}} <- facts.lookups do
      if type == :names,
        do: "#{query.text} lists #{counted(answer.records, "name", "names")}",
        else: "#{query.text} gives #{answer |> Answer.addresses() |> some_ips()}"
    end
    |> Enum.uniq()
    |> Enum.join(", ")
  end

  @spec some_ips([IP.t()]) :: String.t()
  def some_ips(ips) do
    {shown, more} = Enum.split(ips, 4)

    Enum.map_join(shown, ", ", &IP.to_text/1) <>
      if(more == [], do: "", else: " and #{length(more)} more")
  end

  @spec quoted([String.t()]) :: String.t()
  def quoted(names) do
    {shown, more} = Enum.split(names, 5)

    Enum.map_join(shown, ", ", &inspect/1) <>
      if(more == [], do: "", else: " and #{length(more)} more")
  end

  @spec some([Facts.peer() | Facts.outsider(), ...]) :: String.t()
  def some(peers), do: peers |> Enum.map(& &1.name) |> names()

  @spec names([String.t(), ...]) :: String.t()
  def names(names) do
    {shown, more} = Enum.split(names, 3)
    Enum.join(shown, ", ") <> if(more == [], do: "", else: " and #{length(more)} more")
  end

  @spec counted(list(), one :: String.t(), several :: String.t()) :: String.t()
  def counted([_one], one, _several), do: "1 #{one}"
  def counted(list, _one, several), do: "#{length(list)} #{several}"

  @spec word(non_neg_integer(), one :: String.t(), several :: String.t()) :: String.t()
  def word(1, one, _several), do: one
  def word(_count, _one, several), do: several
end
