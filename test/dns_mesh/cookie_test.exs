defmodule DNSMesh.CookieTest do
  # Which cookie counts, as far as this VM can tell: its boot flag and its files are those of the test run. Those are tried
  # in own_name_test.exs, in nodes of their own.
  use ExUnit.Case, async: false

  alias DNSMesh.Cookie

  setup do
    before = System.get_env("RELEASE_COOKIE")

    on_exit(fn ->
      if before,
        do: System.put_env("RELEASE_COOKIE", before),
        else: System.delete_env("RELEASE_COOKIE")
    end)
  end

  test "a cookie has one to 255 characters, as an atom" do
    assert Cookie.check("x") == :ok
    assert Cookie.check(String.duplicate("x", 255)) == :ok
    assert Cookie.check(String.duplicate("ä", 255)) == :ok
    assert Cookie.check("") == {:error, {:bad_cookie, :empty}}
    assert Cookie.check(String.duplicate("x", 256)) == {:error, {:bad_cookie, :too_long}}
  end

  test "the option counts before the release's variable, and either is checked" do
    System.put_env("RELEASE_COOKIE", "release")
    assert Cookie.find("option") == {:ok, "option", :option}
    assert Cookie.text("option") == {:ok, "option"}
    assert Cookie.find(nil) == {:ok, "release", :environment}
    assert Cookie.text(nil) == {:ok, "release"}

    for {bad, why} <- [{"", :empty}, {String.duplicate("x", 256), :too_long}] do
      assert Cookie.find(bad) == {:error, {:bad_cookie, why}}
      assert Cookie.text(bad) == {:error, {:bad_cookie, why}}
      System.put_env("RELEASE_COOKIE", bad)
      assert Cookie.find(nil) == {:error, {:bad_cookie, why}}
      assert Cookie.find("option") == {:ok, "option", :option}
    end
  end
end
