defmodule DNSMesh.Cookie do
  @moduledoc false
  # Where the cookie comes from when DNSMesh starts distribution: the option, the boot flag, the release's variable, or
  # a file that is there. OTP would make one up and write it to a file: that joins nobody, and is guessable.

  alias DNSMesh.{NodeName, Secret}

  @type source :: :option | :boot_flag | :environment | {:file, String.t()}
  @type fault :: :no_cookie | {:bad_cookie, :empty | :too_long | :no_text}

  # As far as OTP takes an atom.
  @max 255

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

  @typedoc "Why another cookie than RELEASE_COOKIE is in force."
  @type unheeded ::
          :option | :boot_flag | :boot_flags | :dash | {:file, String.t()} | :for_peer | :set

  @doc """
  Why this VM, which is distributed, has another cookie for that peer than RELEASE_COOKIE; `nil` where it has that one, or
  where there is none.
  """
  @spec unheeded(option :: Secret.t() | String.t() | nil, NodeName.t()) :: unheeded() | nil
  def unheeded(option, peer) do
    {own, for_peer} = in_force(peer)

    case System.get_env("RELEASE_COOKIE", "") do
      "" -> nil
      ^for_peer -> nil
      ^own -> :for_peer
      _other when for_peer != own -> :for_peer
      cookie -> why(own, cookie, Secret.reveal(option), boot_flags())
    end
  end

  # A name that is no atom yet has no cookie of its own.
  defp in_force(peer) do
    own = Node.get_cookie()

    case NodeName.existing_atom(peer) do
      {:ok, node} -> {Atom.to_string(own), Atom.to_string(:erlang.get_cookie(node))}
      :error -> {Atom.to_string(own), Atom.to_string(own)}
    end
  end

  # OTP heeds -setcookie where it is given once, and else reads its file, or makes one.
  defp why(own, _cookie, own, _flags), do: :option
  defp why(own, _cookie, _option, [own]), do: :boot_flag
  defp why(_own, "-" <> _, _option, [nil | _]), do: :dash

  defp why(own, _cookie, _option, flags) do
    file = Enum.find(files(), &(read(&1) == {:ok, own}))

    cond do
      file == nil -> :set
      length(flags) > 1 -> :boot_flags
      true -> {:file, file}
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
    case boot_flags() do
      [cookie] -> cookie
      _none_or_several -> nil
    end
  end

  # `nil` for one whose cookie was taken for a flag.
  defp boot_flags do
    case :init.get_argument(:setcookie) do
      {:ok, flags} -> for flag <- flags, length(flag) < 2, do: flag_text(flag)
      :error -> []
    end
  end

  defp flag_text([cookie]), do: List.to_string(cookie)
  defp flag_text([]), do: nil

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
