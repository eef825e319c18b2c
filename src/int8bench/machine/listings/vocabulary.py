"""The words in kernels' lists of instructions: what tells a whole word from a piece of one. Pure: a table and look-ups.

From Linux (arch/x86/include/asm/cpufeatures.h with names that older kernels printed, arch/arm64/kernel/cpuinfo.c,
arch/arm/kernel/setup.c, arch/loongarch/kernel/proc.c) and macOS (osfmk/i386/cpuid.c of xnu). A word that is missing
here costs little: a list that is broken beside it is read as told by the lines' lengths, or its ends are untold.
"""

_X86 = """
fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 pn clflush dts acpi mmx fxsr sse sse2 ss ht tm
ia64 pbe syscall mp nx mmxext fxsr_opt pdpe1gb rdtscp lm 3dnowext 3dnow recovery longrun lrti cxmmx k6_mtrr cyrix_arr
centaur_mcr constant_tsc up art arch_perfmon pebs bts rep_good acc_power nopl xtopology tsc_reliable nonstop_tsc cpuid
extd_apicid amd_dcm aperfmperf rapl nonstop_tsc_s3 tsc_known_freq eagerfpu pni pclmulqdq dtes64 monitor ds_cpl vmx smx
est tm2 ssse3 cid sdbg fma cx16 xtpr pdcm pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline_timer aes xsave
osxsave avx f16c rdrand hypervisor rng rng_en ace ace_en ace2 ace2_en phe phe_en pmm pmm_en lahf_lm cmp_legacy svm
extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt lwp fma4 tce nodeid_msr tbm topoext
perfctr_core perfctr_nb perfctr_l2 bpext ptsc perfctr_llc mwaitx ring3mwait cpuid_fault cpb epb cat_l3 cat_l2 cdp_l3
invpcid_single hw_pstate proc_feedback sme pti kaiser retpoline retpoline_amd intel_ppin cdp_l2 ssbd mba rsb_ctxsw sev
sev_es sev_snp ibrs ibpb stibp intel_stibp spec_ctrl ibrs_enhanced perfmon_v2 amd_lbr_v2 amd_lbr_pmc_freeze
tdx_host_platform tdx_guest tpr_shadow vnmi flexpriority ept vpid ept_ad vmmcall ept_1gb fsgsbase tsc_adjust sgx bmi1
hle avx2 smep bmi2 erms invpcid rtm cqm mpx rdt_a avx512f avx512dq rdseed adx smap avx512ifma pcommit clflushopt clwb
intel_pt avx512pf avx512er avx512cd sha_ni avx512bw avx512vl xsaveopt xsavec xgetbv1 xsaves xfd cqm_llc cqm_occup_llc
cqm_mbm_total cqm_mbm_local split_lock_detect user_shstk bus_lock_detect per_thread_mba avx_vnni avx512_bf16 sha512 sm3
sm4 cmpccxadd arch_perfmon_ext fzrm fsrs fsrc fred lkgs wrmsrns amx_fp16 avx_ifma lam lass avx_vnni_int8
avx_ne_convert amx_complex avx_vnni_int16 prefetchi avx10 avx10_1 avx10_2 apx apx_f amx_fp8 amx_tf32 amx_avx512
amx_movrs movrs clzero irperf xsaveerptr rdpru wbnoinvd amd_ppin amd_ibpb amd_ibrs amd_stibp amd_ssbd virt_ssbd cppc
amd_psfd btc_no brs bmec smba ibp_disable dtherm ida arat pln pts hwp hwp_notify hwp_act_window hwp_epp hwp_pkg_req hfi
hreset npt lbrv svm_lock nrip_save tsc_scale vmcb_clean flushbyasid decodeassists pausefilter pfthreshold avic
v_vmsave_vmload vgif x2avic v_spec_ctrl idle_hlt avx512vbmi umip pku ospke waitpkg avx512_vbmi2 shstk gfni vaes
vpclmulqdq avx512_vnni avx512_bitalg tme avx512_vpopcntdq la57 rdpid cldemote movdiri movdir64b enqcmd sgx_lc
overflow_recov succor smca avx512_4vnniw avx512_4fmaps fsrm avx512_vp2intersect md_clear rtm_always_abort serialize
hybrid_cpu tsxldtrk pconfig arch_lbr ibt amx_bf16 avx512_fp16 amx_tile amx_int8 flush_l1d arch_capabilities
core_capabilities sme_coherent debug_swap vm_page_flush
"""
_ARM = """
fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4
asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg dcpodp sve2 sveaes svepmull svebitperm svesha3
svesm4 flagm2 frint svei8mm svef32mm svef64mm svebf16 i8mm bf16 dgh rng bti mte ecv afp rpres mte3 sme smei16i64
smef64f64 smei8i32 smef16f32 smeb16f32 smef32f32 smefa64 wfxt ebf16 sveebf16 cssc rprfm sve2p1 sme2 sme2p1 smei16i32
smebi32i32 smeb16b16 smef16f16 mops hbc sveb16b16 lrcpc3 lse128 fpmr lut faminmax f8cvt f8fma f8dp4 f8dp2 f8e4m3 f8e5m2
smelutv2 smef8f16 smef8f32 smesf8fma smesf8dp4 smesf8dp2 poe gcs cmpbr fprcvt f8mm8 f8mm4 svef16mm sveeltperm sveaes2
svebfscale sve2p2 sme2p2 smesbitperm smeaes smesfexpa smestmop smesmop4 mtefar mtestoreonly lsfe ls64 ls64_v
ls64_accdata swp half thumb 26bit fastmult fpa vfp edsp java iwmmxt crunch thumbee neon vfpv3 vfpv3d16 tls vfpv4 idiva
idivt vfpd32 lpae asimdbf16
"""
_LOONGARCH = """
cpucfg lam ual fpu lsx lasx crc32 complex crypto lvz lbt_x86 lbt_arm lbt_mips ptw lspw lam_bh lamcas scq llacq_screl
div32
"""
_MACOS = """
clfsh ds mon dscpl tpr seglim64 tsctmr avx1_0 xd em64t lahf lzcnt tsci rdwrfsgs tsc_thread_offset fpu_csds
mdclear l1df vmm 1gbpage prefetchw acapmsr tsxfa clfsopt ipt sgxlc htt sse3 avx512vnni avx512bitalg avx512vpopcntdq
avx512vbmi2 sha fsrepmov
"""
WORDS = frozenset(f"{_X86} {_ARM} {_LOONGARCH} {_MACOS}".split())


def plain(text: str) -> str:
    """Return a word as the table spells it: ``AVX1.0`` is avx1_0."""
    return text.lower().replace(".", "_").replace("-", "_")


def is_word(text: str) -> bool:
    """Tell whether a kernel prints this word."""
    return plain(text) in WORDS


def is_piece(text: str) -> bool:
    """Tell whether a longer word begins like this, so that a cut could have left it."""
    piece = plain(text)
    return any(word.startswith(piece) and word != piece for word in WORDS)
