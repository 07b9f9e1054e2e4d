with source as (

    select * from {{ source('lake', 'exposure_levels') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,

        -- snapshot
        spot,
        spot_source,
        contracts,
        contracts_used,
        unpositioned_oi_share,
        expiries,

        -- exposures
        net_delta_exposure_usd,
        net_gamma_exposure_usd_per_pct,
        net_vanna_exposure_usd_per_vol_pt,
        net_charm_exposure_usd_per_day,
        net_volga_exposure_usd_per_vol_pt2,
        call_gamma_exposure_usd_per_pct,
        put_gamma_exposure_usd_per_pct,
        gross_gamma_exposure_usd_per_pct,
        net_gamma_sd_usd_per_pct,
        zero_dte_share,

        -- levels
        flip_price,
        flip_status,
        flip_pct,
        flip_prices,
        flip_slopes,
        call_wall,
        put_wall,
        call_side_wall,
        put_side_wall,
        absolute_gamma_strike,
        max_pain,

        -- bands of the levels
        flip_median,
        flip_lo,
        flip_hi,
        flip_band_pct,
        flip_convention_lo,
        flip_convention_hi,
        flip_oi_age_lo,
        flip_oi_age_hi,
        flip_sticky_moneyness,
        flip_sticky_moneyness_lo,
        flip_sticky_moneyness_hi,
        net_gamma_lo_usd_per_pct,
        net_gamma_hi_usd_per_pct,
        net_delta_lo_usd,
        net_delta_hi_usd,
        net_vanna_lo_usd_per_vol_pt,
        net_vanna_hi_usd_per_vol_pt,
        net_charm_lo_usd_per_day,
        net_charm_hi_usd_per_day,
        net_volga_lo_usd_per_vol_pt2,
        net_volga_hi_usd_per_vol_pt2,
        call_wall_stability,
        put_wall_stability,
        forwards_settled_share,
        vols_settled_share,
        band_resamples,

        -- expected move
        expected_move_straddle_usd,
        expected_move_vol_365_usd,
        expected_move_vol_252_usd,

        -- quality
        is_partial,
        two_sided_share,
        determined_oi_share,
        is_publishable,
        quality_reasons,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
