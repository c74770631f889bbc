defmodule DNSMesh.Diagnosis do
  @moduledoc """
  What `DNSMesh.doctor/2` has found: one verdict, one fix, and the table they rest on. Print it: `IO.puts(diagnosis)`.

    * `:healthy?` - whether nothing is wrong: every peer listed is connected, or, where the examined VM is no member
      (`mix dns_mesh.doctor`), could be.
    * `:node` - this node's name, a string; `nil` while it has none.
    * `:verdict` - one of those below.
    * `:subject` - what it is about: a node, or a name that was looked up; `nil` where it is this node.
    * `:sentence` - the verdict, for people.
    * `:fix` - what to do, for people; `nil` where there is nothing to do.
    * `:table` - what was looked at, in the order of the walk: a list of maps
      * `:step` - `:dns`, `:name`, `:distribution`, `:cookie` or `:peer`,
      * `:subject` - what was looked at, a string,
      * `:ok` - `true`, `false`, or `nil` where nothing can be said,
      * `:said` - what was found, a string.
    * `:took` - milliseconds it took.

  #{DNSMesh.Doctor.Verdicts.docs()}
  """

  alias DNSMesh.Table

  @enforce_keys [:healthy?, :verdict, :sentence]
  defstruct [:healthy?, :node, :verdict, :subject, :sentence, :fix, table: [], took: 0]

  @type row :: %{
          step: :dns | :name | :distribution | :cookie | :peer,
          subject: String.t(),
          ok: boolean() | nil,
          said: String.t()
        }
  @type t :: %__MODULE__{
          healthy?: boolean(),
          node: String.t() | nil,
          verdict: DNSMesh.Doctor.Verdicts.kind(),
          subject: String.t() | nil,
          sentence: String.t(),
          fix: String.t() | nil,
          table: [row()],
          took: non_neg_integer()
        }

  @doc "The same as a map of strings, numbers, booleans, `nil`, lists and maps, which every JSON encoder takes."
  @spec to_map(t()) :: %{String.t() => term()}
  def to_map(%__MODULE__{} = diagnosis) do
    %{
      "healthy" => diagnosis.healthy?,
      "node" => diagnosis.node,
      "verdict" => Atom.to_string(diagnosis.verdict),
      "subject" => diagnosis.subject,
      "sentence" => diagnosis.sentence,
      "fix" => diagnosis.fix,
      "table" =>
        for row <- diagnosis.table do
          %{
            "step" => Atom.to_string(row.step),
            "subject" => row.subject,
            "ok" => row.ok,
            "said" => row.said
          }
        end,
      "took" => diagnosis.took
    }
  end

  @doc false
  @spec to_text(t()) :: String.t()
  def to_text(%__MODULE__{} = diagnosis) do
    rows =
      for row <- diagnosis.table,
          do: [mark(row.ok), Atom.to_string(row.step), row.subject, row.said]

    fix = if diagnosis.fix, do: ["", "Fix: #{diagnosis.fix}"], else: []

    Enum.join(
      ["DNSMesh doctor#{on(diagnosis.node)}", ""] ++
        Table.lines(rows) ++ if(rows == [], do: [], else: [""]) ++ [diagnosis.sentence] ++ fix,
      "\n"
    )
  end

  defp on(nil), do: ""
  defp on(node), do: ", #{node}"

  defp mark(true), do: "ok"
  defp mark(false), do: "!!"
  defp mark(nil), do: "--"

  defimpl String.Chars do
    def to_string(diagnosis), do: DNSMesh.Diagnosis.to_text(diagnosis)
  end

  # Short: the doctor has printed the rest just before.
  defimpl Inspect do
    def inspect(%{verdict: verdict, subject: nil}, _opts),
      do: "#DNSMesh.Diagnosis<#{verdict}>"

    def inspect(%{verdict: verdict, subject: subject}, _opts),
      do: "#DNSMesh.Diagnosis<#{verdict}: #{subject}>"
  end
end
