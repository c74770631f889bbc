defmodule DNSMesh.Cookie do
  @moduledoc false
  # Where the cookie comes from when DNSMesh starts distribution: the option, the boot flag, the release's variable, or
  # a file that is there. OTP would make one up and write it to a file: that joins nobody, and is guessable.

  @type source :: :option | :boot_flag | :environment | {:file, String.t()}
  @type fault :: :no_cookie | {:bad_cookie, :empty | :too_long | :no_text}

  # As far as OTP takes an atom.
  @max 255

  alias DNSMesh.Secret

  @doc "The cookie to set after the start (`nil`: the VM has it by itself), and where it comes from."
  @spec find(Secret.t() | String.t() | nil) ::
          {:ok, String.t() | nil, source()} | {:error, fault()}
  def find(option) do
    cond do
      option != nil -> checked(Secret.reveal(option), :option)
      boot_flag?() -> {:ok, nil, :boot_flag}
      cookie = System.get_env("RELEASE_COOKIE") -> checked(cookie, :environment)
      file = Enum.find(files(), &File.regular?/1) -> {:ok, nil, {:file, file}}
      true -> {:error, :no_cookie}
    end
  end

  @doc "The cookie itself, which the VM would take if it were distributed."
  @spec text(Secret.t() | String.t() | nil) :: {:ok, String.t()} | {:error, fault()}
  def text(option) do
    case find(option) do
      {:ok, nil, :boot_flag} -> {:ok, boot_flag()}
      {:ok, nil, {:file, path}} -> read(path)
      {:ok, cookie, _source} -> {:ok, cookie}
      {:error, fault} -> {:error, fault}
    end
  end

  defp read(path) do
    case File.read(path) do
      {:ok, text} -> {:ok, String.trim(text)}
      {:error, _unreadable} -> {:error, :no_cookie}
    end
  end

  @spec check(String.t()) :: :ok | {:error, fault()}
  def check(""), do: {:error, {:bad_cookie, :empty}}

  def check(cookie) do
    cond do
      # No atom can be made of it; and what fails in trying shows it.
      not String.valid?(cookie) -> {:error, {:bad_cookie, :no_text}}
      String.length(cookie) > @max -> {:error, {:bad_cookie, :too_long}}
      true -> :ok
    end
  end

  defp checked(cookie, source), do: with(:ok <- check(cookie), do: {:ok, cookie, source})

  defp boot_flag?, do: boot_flag() != nil

  # -setcookie Cookie; with two arguments it is another node's.
  defp boot_flag do
    with {:ok, flags} <- :init.get_argument(:setcookie),
         [[cookie]] <- for([_] = flag <- flags, do: flag) do
      List.to_string(cookie)
    else
      _none_or_several -> nil
    end
  end

  # Where OTP's auth looks, in its order.
  defp files do
    home =
      case :init.get_argument(:home) do
        {:ok, [[home] | _]} -> [Path.join(List.to_string(home), ".erlang.cookie")]
        _ -> []
      end

    home ++ [Path.join(to_string(:filename.basedir(:user_config, ~c"erlang")), ".erlang.cookie")]
  end
end
