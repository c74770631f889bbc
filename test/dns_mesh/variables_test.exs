defmodule DNSMesh.VariablesTest do
  use ExUnit.Case, async: true

  alias DNSMesh.{Error, IP, Variables}

  # The same table is played on the program that a release's env.sh calls.
  @table "native/dns_mesh_cli/tests/variables.txt"
  @external_resource @table
  @cases for line <- @table |> File.read!() |> String.split("\n"),
             [_, name, value, meaning] <- [Regex.run(~r/^(\w+) "(.*)" = (.*)$/, line)],
             do: {name, value, meaning}

  @keys %{"DNS_MESH_BASENAME" => :basename, "DNS_MESH_ADDRESS" => :address}

  @faults %{
    "DNS_MESH_BASENAME" => :bad_basename_variable,
    "DNS_MESH_ADDRESS" => :bad_address_variable
  }

  test "the table is there" do
    assert length(@cases) > 60
  end

  for {name, value, meaning} <- @cases do
    test "#{name}=#{inspect(value)} means #{meaning}" do
      told = Variables.check(@keys[unquote(name)], unquote(value))

      if unquote(meaning) == "bad" do
        assert told == {:error, {@faults[unquote(name)], unquote(value)}}
        assert Error.message(elem(told, 1)) =~ "#{unquote(name)} is #{inspect(unquote(value))}"
      else
        assert {:ok, value} = told
        assert text(value) == unquote(meaning)
      end
    end
  end

  test "bytes that are no text mean nothing, and harm nobody" do
    for key <- [:basename, :address],
        bad <- [<<255>>, "10.0.0.5" <> <<255>>, "env:" <> <<255>>] do
      assert {:error, {_fault, ^bad}} = Variables.check(key, bad)
    end
  end

  defp text(basename) when is_binary(basename), do: basename
  defp text({:literal, ip}), do: "literal #{IP.to_text(ip)}"
  defp text({:interface, name}), do: "interface #{name}"
  defp text({:subnet, {ip, prefix}}), do: "subnet #{IP.to_text(ip)}/#{prefix}"
  defp text({:env, name}), do: "variable #{name}"
end
