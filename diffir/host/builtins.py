"""What diffir brings itself, registered through the same hooks as any plugin."""

from __future__ import annotations

from diffir.host.hookspecs import Register, hookimpl


@hookimpl
def register_codecs(register: Register) -> None:
    """The codecs of Pillow and PyAV."""
    register("jpeg", "diffir.codecs.jpeg:Jpeg", summary="JPEG (libjpeg-turbo, through Pillow)")
    register("webp", "diffir.codecs.webp:WebP", summary="WebP (libwebp, through Pillow)")
    register("avif", "diffir.codecs.avif:Avif", summary="AVIF (libavif, through Pillow)")
    register("jpeg2000", "diffir.codecs.jpeg2000:Jpeg2000", summary="JPEG 2000 (OpenJPEG, Pillow)")
    register("avc", "diffir.codecs.avc:Avc", summary="H.264/AVC intra (x264, through PyAV)")
    register("hevc", "diffir.codecs.hevc:Hevc", summary="H.265/HEVC intra (x265, through PyAV)")
    register("av1", "diffir.codecs.av1:Av1", summary="AV1 intra (SVT-AV1, through PyAV)")
    register("vp9", "diffir.codecs.vp9:Vp9", summary="VP9 intra (libvpx, through PyAV)")
    register("mpeg2", "diffir.codecs.mpeg2:Mpeg2", summary="MPEG-2 intra (FFmpeg, through PyAV)")


@hookimpl
def register_degradations(register: Register) -> None:
    """Chains; every level of every codec is a degradation without being registered."""
    register(
        "double-jpeg",
        "diffir.degradations.chain:double_jpeg",
        summary="JPEG twice, the second time off the first one's 8x8 grid",
    )
    register(
        "web-repost",
        "diffir.degradations.chain:web_repost",
        summary="WebP, then JPEG off its grid: a picture saved from a page and posted again",
    )


@hookimpl
def register_routers(register: Register) -> None:
    """The mixture of expert prompts."""
    register("moe", "diffir.moe.router:MoERouter", summary="Pyramid of expert prompts, top-k gate")
    register(
        "moe-pyramid",
        "diffir.moe.pyramid:PyramidRouter",
        summary="MoE-Prompt module at the published size, native or official, and its ablations",
    )


@hookimpl
def register_conditioners(register: Register) -> None:
    """The visual-to-text adapter, and what stands in its place to see what it is worth."""
    register(
        "visual-to-text",
        "diffir.moe.visual_to_text:VisualToText",
        summary="Image tower and adapter: tokens of the picture in place of text",
    )
    register(
        "learned-tokens",
        "diffir.moe.plain_contexts:LearnedTokens",
        summary="Tokens that are learned, the same for every picture",
    )
    register(
        "no-context",
        "diffir.moe.plain_contexts:NoContext",
        summary="One token of zeros: the U-Net is told nothing",
    )
    register(
        "clip-to-text",
        "diffir.moe.clip_to_text:ClipToText",
        summary="The adapter at the published size: enhancer, CLIP RN50, 49 + 49 tokens",
    )
    register(
        "empty-text",
        "diffir.moe.empty_text:EmptyText",
        summary="The text encoder's answer to an empty prompt, the same for every picture",
    )


@hookimpl
def register_decoders(register: Register) -> None:
    """The compensated decoder."""
    register(
        "compensated",
        "diffir.moe.compensator:CompensatedDecoder",
        summary="Decoder that fuses the encoder's feature maps of the degraded picture",
    )
    register(
        "kl-compensated",
        "diffir.moe.kl_decoder:KLDecoder",
        summary="Stable Diffusion's decoder with the compensator at two levels",
    )


@hookimpl
def register_recipes(register: Register) -> None:
    """Model sizes."""
    register(
        "moe-diffir-tiny",
        "diffir.recipes:moe-diffir-tiny.toml",
        summary="MoE-DiffIR small enough for a laptop CPU, with weights in the box",
    )
    register(
        "moe-diffir-sd21",
        "diffir.recipes:moe-diffir-sd21.toml",
        summary="MoE-DiffIR on Stable Diffusion 2.1, for a GPU; weights are made by convert",
    )
    register(
        "moe-diffir-sd21-official",
        "diffir.recipes:moe-diffir-sd21-official.toml",
        summary="The same with the behavior of the published code, for its converted weights",
    )
